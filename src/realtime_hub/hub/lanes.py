"""A lane keeps one subscriber's changes in order while a verdict is awaited.

A verdict that takes time holds the lanes of those who wait for it, and no others. An idle
lane costs one attribute test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Fate(Enum):
    """What becomes of a place in the lane."""

    PENDING = "pending"
    GO = "go"
    DROP = "drop"


@dataclass(slots=True)
class Place:
    """A place in the lane: what to do when its turn comes, if it may go then."""

    act: Callable[[], None]
    fate: Fate = Fate.PENDING


class Lane:
    """The waiting line of one subscriber. Not thread-safe; never awaits.

    limit: how many places may wait. What happens past it is the caller's rule: `full` says so.
    """

    __slots__ = ("_places", "limit")

    def __init__(self, limit: int = 10_000) -> None:
        self._places: deque[Place] | None = None
        self.limit = limit

    @property
    def idle(self) -> bool:
        return self._places is None

    @property
    def full(self) -> bool:
        return self._places is not None and len(self._places) >= self.limit

    def __len__(self) -> int:
        return 0 if self._places is None else len(self._places)

    def wait(self, act: Callable[[], None]) -> Place:
        """Take the next place, to be settled later."""
        place = Place(act)
        self._queue().append(place)
        return place

    def follow(self, act: Callable[[], None]) -> None:
        """Act now if nobody waits, else in turn."""
        if self._places is None:
            act()
        else:
            self._places.append(Place(act, Fate.GO))

    def settle(self, place: Place, *, go: bool) -> None:
        """Decide a place, and let everything go whose turn has come."""
        place.fate = Fate.GO if go else Fate.DROP
        places = self._places
        while places and places[0].fate is not Fate.PENDING:
            head = places.popleft()
            if head.fate is Fate.GO:
                head.act()
        if places is not None and not places:
            self._places = None

    def clear(self) -> None:
        """Forget all who wait; settling them later does nothing."""
        if self._places is not None:
            self._places.clear()
            self._places = None

    def _queue(self) -> deque[Place]:
        if self._places is None:
            self._places = deque()
        return self._places
