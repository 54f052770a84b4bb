"""What goes from the history, the oldest first: by age, by how many one domain has, and by the size of it all.

For the size, those go first who have most: what a domain may keep is what is left if all had the same. So a guest that
tells a lot, as often as it may, costs only its own past, and never what its neighbours or the host itself told.
"""

from collections.abc import Sequence

import aiosqlite

from hostd import telemetry

AT_ONCE = 5_000  # rows of one statement, so that nobody waits for long
MAX_STATEMENTS = 20  # of one kind; the rest goes the next time
SPARE = 0.9  # how much of the size is left when there was too much, so that it is not over again at once
MIN_JOURNAL_SECONDS = 30 * 86_400.0  # so long it is known at least what was taken of a journal that is silent
VACUUM_PAGES = 2_000

_BY_AGE = "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?) AND at < ?"
_OF_DOMAIN = """DELETE FROM event WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(bytes) OVER newer AS bytes, row_number() OVER newer AS place
        FROM event WHERE domain IS ? WINDOW newer AS (ORDER BY id DESC)
    ) WHERE bytes > ? OR place > ?
)"""


async def tidy(connection: aiosqlite.Connection, oldest: float, most_bytes: int, most_of_domain: int) -> int:
    """Delete what is from before `oldest` or over the limits; the size in bytes that is left."""
    for _ in range(MAX_STATEMENTS):
        if await _deleted(connection, "age", _BY_AGE, AT_ONCE, oldest) < AT_ONCE:
            break
    domains = list(await connection.execute_fetchall("SELECT domain, count(*), sum(bytes) FROM event GROUP BY domain"))
    for domain, count, size in domains:
        if domain is not None and count > most_of_domain:
            await _deleted(connection, "domain", _OF_DOMAIN, domain, size, most_of_domain)
    used = await _used(connection)
    if used > most_bytes:
        sizes = [size for _, _, size in domains]
        share = fair_share(sizes, int(sum(sizes) * SPARE * most_bytes / used))
        for domain, count, size in domains:
            if size > share:
                await _deleted(connection, "size", _OF_DOMAIN, domain, share, count)
    await connection.execute_fetchall("DELETE FROM journal WHERE at < ?", (oldest - MIN_JOURNAL_SECONDS,))
    await connection.execute_fetchall(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
    return await _used(connection)


def fair_share(sizes: Sequence[int], most: int) -> int:
    """How much each may have so that all together have at most `most`; who has less keeps it."""
    left = most
    for at, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - at)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


async def _used(connection: aiosqlite.Connection) -> int:
    """The bytes in use; pages that are free are the file's, but not the history's."""
    values = []
    for pragma in ("page_count", "freelist_count", "page_size"):
        ((value,),) = await connection.execute_fetchall(f"PRAGMA {pragma}")
        values.append(int(value))
    pages, free, page_bytes = values
    return (pages - free) * page_bytes


async def _deleted(connection: aiosqlite.Connection, reason: str, statement: str, *values: object) -> int:
    async with connection.execute(statement, values) as cursor:
        count = max(0, cursor.rowcount)
    telemetry.HISTORY_PRUNED.labels(reason).inc(count)
    return count
