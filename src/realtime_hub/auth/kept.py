"""PostgreSQL's answers about one identity, kept for as long as they are surely right.

An answer serves a change that its own snapshot sees, for a moment; and any change, while no
table that it reads has changed. The stream tells of those: an answer that does not see a
transaction which wrote to one of them is dropped, and never kept if it comes later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from realtime_hub.auth.parts import Answered, Members
from realtime_hub.auth.values import Uncertain

_MOMENT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 600.0
"""An answer that nothing contradicts is asked for anew after so long."""

_WRITER_SECONDS: Final = 60.0
"""Longer than a question can be on its way."""

_MAX_MEMBERS: Final = 1_000_000
_MAX_WRITERS: Final = 1_024
_MAX_REFUSED: Final = 10_000
_HALF: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`pg_snapshot`: every transaction before `xmin` has ended, none from `xmax` on had begun,
    and of those between, `running` had not ended."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: bytes) -> Snapshot:
        """Read `xmin:xmax:xid,xid,...` (documentation, "Transaction ID and Snapshot")."""
        xmin, xmax, running = text.split(b":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, running.split(b",")))))

    def sees(self, xid: int) -> bool:
        """Whether it sees a committed transaction; xid: the lower 32 bits of its id."""
        full = (self.xmax >> 32 << 32) | xid
        if full > self.xmax + _HALF:
            full -= 1 << 32
        elif full < self.xmax - _HALF:
            full += 1 << 32
        return full < self.xmin or (full < self.xmax and full not in self.running)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What one identity's parts came to. asked_at: before the question was sent, `loop.time()`.
    members: how much it holds."""

    claims: Answered
    snapshot: Snapshot
    asked_at: float

    @classmethod
    def read(
        cls, claims: Mapping[str, Any], values: Sequence[bytes | None], asked_at: float
    ) -> Entry | None:
        """From the values that a probe of parts told; None if they can't be read here."""
        snapshot, *parts = values
        if snapshot is None:
            return None
        try:
            answers = [Members.read(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        except Uncertain:
            return None
        return cls(Answered(claims, answers), Snapshot.parse(snapshot), asked_at)

    @property
    def members(self) -> int:
        return 1 + sum(len(answer.members or ()) for answer in self.claims.answers)


class Kept:
    """The entries of one rule, by the claims that matter to it."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._members = 0
        self._writers: dict[int, float] = {}
        self._refused: dict[Hashable, float] = {}
        self._closed_until = 0.0  # nothing that was asked for before is kept

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, who: Hashable, xid: int, now: float, *, followed: bool) -> Entry | None:
        """An entry that may judge a change. followed: the stream has told of every transaction
        up to the change's own, and would have told if one had written what the entry reads."""
        entry = self._entries.get(who)
        if entry is None:
            return None
        age = now - entry.asked_at
        if age > _ANSWER_SECONDS:
            self._drop(who)
            return None
        if followed or (age <= _MOMENT_SECONDS and entry.snapshot.sees(xid)):
            return entry
        return None

    def keep(self, who: Hashable, entry: Entry, now: float) -> None:
        """Keep it, unless the stream has told of writers that it does not see."""
        self._forget_writers(now, entry.snapshot)
        if entry.asked_at <= self._closed_until:
            return
        if not all(map(entry.snapshot.sees, self._writers)):
            return
        self._drop(who)
        self._entries[who] = entry
        self._members += entry.members
        while self._members > _MAX_MEMBERS:
            self._drop(next(iter(self._entries)))

    def refuse(self, who: Hashable, now: float) -> None:
        """There is no answer: for a while it is not asked for again."""
        self._refused[who] = now + _WRITER_SECONDS
        if len(self._refused) > _MAX_REFUSED:
            del self._refused[next(iter(self._refused))]

    def refused(self, who: Hashable, now: float) -> bool:
        return self._refused.get(who, now) > now

    def written(self, xid: int, now: float) -> None:
        """A transaction wrote to a table that the entries read."""
        if xid in self._writers:
            return
        if len(self._writers) >= _MAX_WRITERS:
            self._writers.clear()
            self.clear(now + _WRITER_SECONDS)
        self._writers[xid] = now
        for who in [w for w, e in self._entries.items() if not e.snapshot.sees(xid)]:
            self._drop(who)

    def clear(self, until: float) -> None:
        """Forget all, and keep nothing that was asked for until then."""
        self._entries.clear()
        self._members = 0
        self._closed_until = max(until, self._closed_until)

    def _forget_writers(self, now: float, snapshot: Snapshot) -> None:
        """Those of long ago that are seen by now: no question older than them is on its way. One
        that waits for a synchronous standby is not seen, and stays."""
        for xid, at in list(self._writers.items()):
            if now - at > _WRITER_SECONDS and snapshot.sees(xid):
                del self._writers[xid]

    def _drop(self, who: Hashable) -> None:
        entry = self._entries.pop(who, None)
        if entry is not None:
            self._members -= entry.members
