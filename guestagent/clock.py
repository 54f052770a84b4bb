"""The one clock the agent keeps time by: seconds since boot, those in suspend included.

Nobody can set it, so a guest whose date is corrected notices nothing; and a guest that slept finds what is due overdue,
where the ordinary monotonic clock would have it wait as if no time had passed. Only differences mean anything.
"""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the former is Linux's


def boot_seconds() -> float:
    """Seconds since the guest was started."""
    return time.clock_gettime(_CLOCK)
