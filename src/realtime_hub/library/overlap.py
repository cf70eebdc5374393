"""While two channels of one table are open, each change comes twice and is delivered once.

A channel's bindings are fixed when it is joined, so a changed set opens the new channel before
the old one is closed. Until that has happened, those whom the old channel serves hear it alone,
and what the new one brings is kept for them: either may lag behind the other, and their order
must hold. Then they get what the old channel did not bring, and hear the new one. Those who
came with the new channel hear it from its beginning.

Changes are told apart by their Position. Where the upstream has none, by their content, counted:
the second of two equal changes on one channel is another change than the first. (Two changes
equal in all values and the millisecond of their commit, one of which only one channel brings,
can't be told apart.)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable

import orjson

from realtime_hub.library.change import Change


class Overlap:
    """One hand-over, from the channel of generation `old` to that of `new`.

    open: the old channel has not been closed yet.
    """

    def __init__(self, old: int, new: int) -> None:
        self.old = old
        self.new = new
        self.open = True
        self._delivered: Counter[Hashable] = Counter()
        self._came: Counter[Hashable] = Counter()
        self._kept: list[tuple[Change, Hashable, int]] = []

    def came_by_old(self, change: Change) -> None:
        """Those whom the old channel serves have got it."""
        self._delivered[identity(change)] += 1

    def is_for_all(self, change: Change) -> bool:
        """Whether a change of the new channel is also for those whom the old one served; what
        is not, is kept, or was brought by the old one."""
        key = identity(change)
        self._came[key] += 1
        if self.open:
            self._kept.append((change, key, self._came[key]))
            return False
        return self._came[key] > self._delivered[key]

    def close(self) -> list[Change]:
        """The old channel brings nothing more: what those whom it served have not had."""
        self.open = False
        kept, self._kept = self._kept, []
        return [change for change, key, times in kept if times > self._delivered[key]]


class Overlaps:
    """A table's hand-overs, those that are over as long as the new channel may lag behind.

    memory: seconds.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._timers: dict[Overlap, asyncio.TimerHandle | None] = {}

    def begin(self, old: int, new: int) -> Overlap:
        overlap = Overlap(old, new)
        self._timers[overlap] = None
        return overlap

    def heard_elsewhere(self, generation: int, change: Change) -> int:
        """Up to which generation listeners have had a change that this channel brings, or get
        it later."""
        above = 0
        for overlap in self._timers:
            if overlap.old == generation:
                overlap.came_by_old(change)
            elif overlap.new == generation and not overlap.is_for_all(change):
                above = max(above, overlap.old)
        return above

    def end(self, old: int) -> list[Change]:
        """The channel brings nothing more: what those whom it served have not had."""
        missing: list[Change] = []
        for overlap in tuple(self._timers):
            if overlap.old == old and overlap.open:
                missing += overlap.close()
                loop = asyncio.get_running_loop()
                self._timers[overlap] = loop.call_later(self._memory, self.forget, overlap)
        return missing

    def succeed(self, lost: int, generation: int) -> None:
        """A channel goes on where a lost one was."""
        for overlap in self._timers:
            if overlap.new == lost:
                overlap.new = generation

    def forget(self, overlap: Overlap) -> None:
        timer = self._timers.pop(overlap, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> None:
        for overlap in tuple(self._timers):
            self.forget(overlap)


def identity(change: Change) -> Hashable:
    """What tells a change from all others; of equal content where there is no Position."""
    if change.position is not None:
        return change.position
    data = change.data
    return orjson.dumps(
        [data.get(name) for name in ("type", "commit_timestamp", "record", "old_record")],
        option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS,
        default=str,
    )
