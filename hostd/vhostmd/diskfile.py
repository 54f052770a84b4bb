"""One metrics disk's file, as QEMU holds it open: the same inode for as long as any domain runs. All of it blocks.

It is opened if it is there and made only if not, never replaced and never cut. (Not by O_CREAT either way: in a folder
that anybody may write to, such as /dev/shm, the kernel refuses that for a file which libvirt has given to QEMU's user.)
Its room is taken at once, so that a full disk shows before anything is touched. One that is larger than it has to be
stays so: a domain may have it open, with the size it had then. What is behind `size_bytes` is not used.

The descriptor is kept, one for each disk: where hostd is not root, it could not open a file again that libvirt has
given to QEMU's user. A thousand domains have a thousand, as they have guests' channels.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from protocol import mdisk
from protocol.vhostmd import document

EMPTY = document(())
TOO_LARGE, UNFIT = "too_large", "unfit"
REASONS = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ENOENT: "no_folder",
    errno.ENOTDIR: "no_folder",
    errno.ELOOP: UNFIT,
    errno.EISDIR: UNFIT,
    errno.ENXIO: UNFIT,
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
}
OTHER = "io_error"

_MODE = 0o644  # as vhostmd has it, and less by the umask
_FOLDER_MODE = 0o711  # QEMU's user has to come through; the names in it are nobody's business
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SUMS = 16  # a reader's two looks lie within so many updates
_NO_ROOM_TO_TAKE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class DiskUnusable(Exception):  # noqa: N818 - named for what is so
    """It could not be written; `reason` is one of a few words, the message says the rest."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def failures_of(path: Path) -> Iterator[None]:
    """What the system says of the file within, in our words.

    Raises:
        DiskUnusable: it does.

    """
    try:
        yield
    except mdisk.TooLarge as error:
        raise DiskUnusable(TOO_LARGE, f"{path}: {error}; raise vhostmd.disk_size_bytes") from error
    except OSError as error:
        reason = REASONS.get(error.errno or 0, OTHER)
        hint = "; a metrics disk has to be a regular file" if reason == UNFIT else ""
        raise DiskUnusable(reason, f"{path}: {error.strerror or error}{hint}") from error


class Disk:
    """The file at `path`, which is at least `size_bytes` large."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._descriptor: int | None = None
        self._document: bytes | None = None  # what readers find; None if nothing they may believe
        self._sums: deque[int] = deque(maxlen=_SUMS)

    def write(self, document: bytes) -> bool:
        """Have it hold the document; whether it had to be written. If it cannot be, it holds what it held.

        Raises:
            DiskUnusable: it holds something else.

        """
        with failures_of(self._path):
            if self._descriptor is None or not self._is_in_place(self._descriptor):
                self._open()
            if document == self._document:
                return False
            self._put(document)
            return True

    def close(self) -> None:
        """Let go of the file, as it is."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):
                os.close(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        """Whether who opens the path now gets this very file: else domains that start would have another."""
        with suppress(FileNotFoundError):
            there, ours = self._path.lstat(), os.fstat(descriptor)
            return os.path.samestat(there, ours) and ours.st_size >= self._size_bytes
        return False

    def _open(self) -> None:
        self.close()
        with ExitStack() as undo:
            self._descriptor = _opened(self._path)
            undo.callback(self.close)
            self._refuse(os.fstat(self._descriptor))
            _take_room(self._descriptor, self._size_bytes)
            self._adopt(self._descriptor)
            undo.pop_all()

    def _refuse(self, status: os.stat_result) -> None:
        """Whatever it is, it would be written over: so nothing that cannot be a metrics disk."""
        problem = next(
            (
                why
                for is_so, why in (
                    (not stat.S_ISREG(status.st_mode), "it is no regular file"),
                    (status.st_nlink > 1, "it has another name as well (a hard link)"),
                    (status.st_size > mdisk.MAX_BYTES, f"with {status.st_size} bytes it is no metrics disk"),
                )
                if is_so
            ),
            None,
        )
        if problem is not None:
            raise DiskUnusable(UNFIT, f"{self._path}: {problem}; remove it, or name another file")

    def _adopt(self, descriptor: int) -> None:
        """Keep what an earlier process left if readers may believe it, and repair it if not."""
        self._document = None
        content = _left(descriptor, self._sums)
        if content is None:
            self._put(EMPTY)
        else:
            self._document = content

    def _put(self, document: bytes) -> None:
        content = mdisk.distinct(document, self._sums)
        writes = mdisk.updating(content, self._size_bytes)
        try:
            self._apply(writes)
        except OSError:
            self._restore()
            raise
        self._document = document
        self._sums.append(mdisk.checksum(content))

    def _restore(self) -> None:
        """What was there, under another sum, for it was gone in between. It has had that room before."""
        content = mdisk.distinct(self._document or EMPTY, self._sums)
        self._sums.append(mdisk.checksum(content))
        try:
            self._apply(mdisk.updating(content, self._size_bytes))
        except (OSError, mdisk.TooLarge):
            self._document = None  # it stays busy, as it should: nothing on it may be believed

    def _apply(self, writes: tuple[mdisk.Write, ...]) -> None:
        assert self._descriptor is not None
        for write in writes:
            offset, data = write.offset, memoryview(write.data)
            while data:
                written = os.pwrite(self._descriptor, data, offset)
                offset, data = offset + written, data[written:]


def _opened(path: Path) -> int:
    with suppress(FileNotFoundError):
        return os.open(path, _FLAGS)
    with suppress(FileExistsError):
        path.parent.mkdir()  # the last level alone: what is above is somebody else's
        path.parent.chmod(_FOLDER_MODE)  # whatever the umask
    return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE)


def _take_room(descriptor: int, size_bytes: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        if error.errno not in _NO_ROOM_TO_TAKE:
            raise
        if os.fstat(descriptor).st_size < size_bytes:
            os.ftruncate(descriptor, size_bytes)


def _left(descriptor: int, sums: deque[int]) -> bytes | None:
    """The document that is there, if it is whole; its sum, even if it is not, goes to `sums`."""
    try:
        header = mdisk.header_of(os.pread(descriptor, mdisk.HEADER_BYTES, 0))
    except mdisk.NotMetricsDisk:
        return None
    sums.append(header.sum)
    if header.is_busy or not 0 < header.length <= mdisk.MAX_BYTES:
        return None
    content = os.pread(descriptor, header.length, mdisk.HEADER_BYTES)
    is_whole = len(content) == header.length and mdisk.checksum(content) == header.sum
    return content if is_whole else None
