"""While two channels of one table are open, each change comes twice and is delivered once.

A channel's bindings are fixed when it is joined, so a changed set opens the new channel before
the old one is closed. Listeners are told apart by the generation of the first plan that serves
them: those that came with the new plan are served by the new channel alone, the others by
whichever brings a change first.

Changes are told apart by their Position. Where the upstream has none, by their content, counted:
the second of two equal changes on one channel is another change than the first. (Two changes
equal in all values and the millisecond of their commit, one of which only one channel brings,
can't be told apart.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

import orjson

from realtime_hub.library.change import Change
from realtime_hub.library.listener import Listener


class Overlap:
    """base: the generation of the channel that was open when the overlap began; listeners of
    earlier ones are served by it too."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._came: Counter[tuple[int, Hashable]] = Counter()
        self._delivered: Counter[tuple[int, Hashable]] = Counter()

    def due(self, change: Change, generation: int) -> Callable[[Listener], bool]:
        """Note that the change came through the channel of this generation, and say whether a
        listener has yet to get it."""
        key = identity(change)
        self._came[generation, key] += 1
        times = self._came[generation, key]
        due: set[int] = set()
        for cohort in range(self._base, generation + 1):
            if self._delivered[cohort, key] < times:
                self._delivered[cohort, key] = times
                due.add(cohort)
        return lambda listener: max(listener.generation, self._base) in due


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
