"""Where epochs begin to count."""

from __future__ import annotations

import time
from collections.abc import Callable


def first_epoch() -> int:
    """The first epoch of a log that is made anew: milliseconds since the Unix epoch.

    A log that replaces a lost one must not take an epoch that the lost one had, and can't ask.
    """
    return time.time_ns() // 1_000_000


def steady_clock() -> Callable[[], float]:
    """A clock in seconds since the Unix epoch that later steps of the system's do not move."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()
