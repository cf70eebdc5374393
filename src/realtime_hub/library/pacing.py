"""Debounce and throttle: fewer calls, each with the latest change (of each key)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

from realtime_hub.library.change import Change
from realtime_hub.library.options import Delivery

_ALL: Final = object()


class Pacer:
    """Stands in front of a listener's caller.

    debounce: a call once nothing came for so many seconds. throttle: the first change at once,
    then at most one call in so many seconds. With `coalesce` each key is paced by itself, else
    all changes are as one.
    """

    def __init__(self, options: Delivery, call: Callable[[Change], None]) -> None:
        self._debounce = options.debounce
        self._seconds = options.debounce or options.throttle or 0.0
        self._key_of = options.key_of
        self._call = call
        self._latest: dict[Hashable, Change] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def offer(self, change: Change) -> None:
        key: Hashable = _ALL if self._key_of is None else self._key_of(change)
        timer = self._timers.get(key)
        if self._debounce is not None:
            if timer is not None:
                timer.cancel()
            self._latest[key] = change
            self._start(key)
        elif timer is not None:
            self._latest[key] = change
        else:
            self._start(key)
            self._call(change)

    def close(self) -> None:
        """Forget what waits."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._latest.clear()

    def _start(self, key: Hashable) -> None:
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._seconds, self._elapsed, key)

    def _elapsed(self, key: Hashable) -> None:
        del self._timers[key]
        change = self._latest.pop(key, None)
        if change is None:
            return
        if self._debounce is None:
            self._start(key)
        self._call(change)
