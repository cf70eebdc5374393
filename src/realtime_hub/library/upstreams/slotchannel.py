"""One table's part of a slot's stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from realtime_hub.changes import Change as RowChange
from realtime_hub.changes import Kind, Row, Table
from realtime_hub.errors import LsnError, UndecidedError
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Shape
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, SnapshotReceiver
from realtime_hub.lsn import Position, parse_lsn
from realtime_hub.postgres.snapshots import PostgresSnapshot, Seen
from realtime_hub.wire.filters import Condition
from realtime_hub.wire.realtime import ChangeEncoder, View

UNLIMITED: Final = 1 << 40
"""Bytes of a payload: a trusted process gets rows whole."""

_MOST_HELD: Final = 10_000
_NOWHERE: Final = Position(0, 0, 0)


class Reader(Protocol):
    """What a channel needs of whoever reads the slot.

    continues: the slot was there before, with all that came since it was confirmed.
    """

    @property
    def continues(self) -> bool: ...

    def snapshot(self) -> AbstractAsyncContextManager[PostgresSnapshot]: ...

    async def matching(self, table: Table, judge: Judge, rows: Sequence[Row]) -> list[bool]:
        """Which of a table's rows a binding's filter wants."""


@dataclass(frozen=True, slots=True)
class Judge:
    """One binding with its filter in the form that the columns print."""

    id: int
    binding: Binding
    conditions: tuple[Condition, ...]

    def wants(self, kind: Kind) -> bool:
        event = self.binding.event
        return event == kind.value or (event == "*" and kind is not Kind.TRUNCATE)


Verdict = tuple[Judge, bool | asyncio.Future[bool]]


class SlotChannel:
    """One table's part of the stream; an `UpstreamChannel`.

    left: called when it is closed. holding: changes wait until the table's rows have been told.
    """

    def __init__(
        self,
        reader: Reader,
        table: Table,
        judges: Sequence[Judge],
        receiver: Receiver,
        left: Callable[[SlotChannel], Awaitable[None]],
        *,
        holding: bool,
    ) -> None:
        self.table = table.full_name
        self.judges = judges
        self.receiver = receiver
        self.shape: Shape | None = Shape(table)
        self.resumed = False
        self._described = table
        self._reader = reader
        self._left = left
        self._last: Position | None = None
        self._held: list[tuple[ChangeEncoder, Sequence[Verdict]]] | None = [] if holding else None
        self._freed = asyncio.Event()
        self._closed = False
        self._told: Seen | None = None
        self._passed: Callable[[], None] = lambda: None

    async def tell_rows(self, receiver: SnapshotReceiver) -> None:
        """The rows, then what was held back and is not in them.

        Raises SnapshotError, and what the receiver's `begin` does.
        """
        receiver.begin(self.shape)
        async with self._reader.snapshot() as snapshot:
            await self._tell(receiver, snapshot, self.judges[0])
            self._told, self._passed = snapshot.seen, receiver.passed
        receiver.complete()
        while self._held:
            held, self._held = self._held, []
            self._freed.set()
            for encoder, verdicts in held:
                await self._give(encoder, verdicts)
        self._held = None
        self._freed.set()

    async def _tell(
        self, receiver: SnapshotReceiver, snapshot: PostgresSnapshot, judge: Judge
    ) -> None:
        table = self._described
        columns = range(len(table.columns))
        async for page in snapshot.pages(table, columns, judge.conditions):
            now = time.time_ns() // 1000
            for row, wanted in zip(
                page, await self._reader.matching(table, judge, page), strict=True
            ):
                if wanted:
                    change = RowChange(_NOWHERE, Kind.INSERT, table, now, 0, row, None)
                    encoder = ChangeEncoder(change, max_bytes=UNLIMITED, snapshot=True)
                    payload = encoder.payload(View(tuple(columns)), [judge.id])
                    receiver.change(Change(payload))
            await receiver.room()

    def resume(self, since: str | None) -> None:
        """Leave out what the listeners have had, if the slot still has all that came after."""
        if since is not None and self._reader.continues:
            self._last = _position(since)
            self.resumed = self._last is not None

    async def deliver(self, encoder: ChangeEncoder, verdicts: Sequence[Verdict]) -> None:
        if self._held is None:
            await self._give(encoder, verdicts)
            return
        while self._held is not None and len(self._held) >= _MOST_HELD:
            self._freed.clear()
            await self._freed.wait()
        if self._held is None:
            await self._give(encoder, verdicts)
        else:
            self._held.append((encoder, verdicts))

    async def _give(self, encoder: ChangeEncoder, verdicts: Sequence[Verdict]) -> None:
        """A change that came before, as a durable slot repeats them, is left out, and one that
        the rows have told."""
        if self._closed:
            return
        change = encoder.change
        if self._told is not None:
            if change.position.lsn >= self._told.end:
                self._told = None
                self._passed()
            elif self._told.sees(change.xid):
                return
        if self._last is not None and change.position <= self._last:
            return
        held = [judge for judge, verdict in verdicts if await self._settled(verdict)]
        if not held:
            return
        self._last = change.position
        shown = () if change.kind is Kind.TRUNCATE else tuple(range(len(change.table.columns)))
        payload = encoder.payload(View(shown), [judge.id for judge in held])
        filters = frozenset(j.binding.filter for j in held if j.binding.filter is not None)
        self.receiver.change(Change(payload, matched=filters, decoded=change))
        await self.receiver.room()

    async def close(self) -> None:
        self._closed, self._held = True, None
        self._freed.set()
        await self._left(self)

    async def _settled(self, verdict: bool | asyncio.Future[bool]) -> bool:
        if isinstance(verdict, bool):
            return verdict
        try:
            return await verdict
        except UndecidedError as error:
            self.receiver.gap(Gap(self.table, "undecided", str(error)))
            return False


def _position(text: str) -> Position | None:
    epoch, _, rest = text.partition(":")
    lsn, _, ordinal = rest.partition(":")
    try:
        return Position(int(epoch), parse_lsn(lsn), int(ordinal))
    except (ValueError, LsnError):
        return None
