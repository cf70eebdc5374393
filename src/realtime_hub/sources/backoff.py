"""How long to wait before trying again."""

from __future__ import annotations

import random


class Backoff:
    """Delays in seconds that double from `initial` to `maximum`, each shortened at random by up
    to a half, so that many who lost the same server do not come back together."""

    def __init__(self, initial: float = 0.2, maximum: float = 10.0) -> None:
        self._initial = initial
        self._maximum = maximum
        self._delay = initial

    def next(self) -> float:
        delay = self._delay
        self._delay = min(delay * 2, self._maximum)
        return delay * random.uniform(0.5, 1)  # noqa: S311 - spread, not secrecy

    def reset(self) -> None:
        """What was tried has worked: the next delay is the first one again."""
        self._delay = self._initial
