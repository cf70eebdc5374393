"""A ChangeLog that forgets: nothing survives the process.

What it gives up: `sync` answers at once, so the WAL is confirmed when changes were handed to
those connected, and no more than that. After a crash or a restart the slot goes on behind what
was confirmed; clients that resume are told of a gap, since each log has an epoch of its own (if
`epoch` is not set to one that was used before). It serves tests and `--log memory`.
"""

from __future__ import annotations

import asyncio
import secrets
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Final

from realtime_hub.changes import Change, TableName
from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.ports import Batch, GoneReason, LogStatistics
from realtime_hub.lsn import Position

_SLICE: Final = 256


class MemoryChangeLog:
    """Keeps the last `limit` changes in memory; `epochs.first_epoch` gives a new epoch."""

    def __init__(self, *, limit: int = 10_000, epoch: int = 0) -> None:
        self._limit = limit
        self._epoch = epoch
        self._secret = secrets.token_bytes(32)
        self._changes: deque[Change] = deque()
        self._floor = Position(epoch, 0, 0)
        self._confirmable = 0
        self._confirmed = 0
        self._syncs = 0
        self._news = asyncio.Event()

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def head(self) -> Position | None:
        if self._changes:
            return self._changes[-1].position
        return self._floor if self._floor.lsn else None

    @property
    def durable(self) -> Position | None:
        """As durable as this log makes it: not at all."""
        return self.head

    @property
    def durable_lsn(self) -> int:
        return self._confirmable

    @property
    def floor(self) -> Position:
        return self._floor

    @property
    def secret(self) -> bytes:
        return self._secret

    def append(self, batch: Batch) -> None:
        if batch.changes:
            first, head = batch.changes[0].position, self.head
            if first.epoch != self._epoch or (head is not None and first <= head):
                raise ValueError(f"{first} does not follow {head} in epoch {self._epoch}")
            self._changes.extend(batch.changes)
            while len(self._changes) > self._limit:
                self._floor = self._changes.popleft().position
        if batch.confirmable > self._confirmable:
            self._confirmable = batch.confirmable
            self._news.set()

    async def room(self) -> None:
        """There is always room: the oldest changes make it."""

    async def sync(self) -> int:
        while self._confirmable <= self._confirmed:
            self._news.clear()
            await self._news.wait()
        self._confirmed = self._confirmable
        self._syncs += 1
        return self._confirmed

    def read(
        self, after: Position, tables: Collection[TableName] | None
    ) -> AsyncGenerator[Change, None]:
        kept = list(self._changes)
        first = bisect_right(kept, after, key=lambda change: change.position)
        return _read(kept[first:], tables, self.gone(after))

    def gone(self, after: Position) -> GoneReason | None:
        if after.epoch != self._epoch:
            return "epoch"
        return "retention" if after < self._floor else None

    def begin_epoch(self, *, system: str | None = None) -> int:
        self._epoch += 1
        self._changes.clear()
        self._floor = Position(self._epoch, 0, 0)
        self._confirmable = self._confirmed = 0
        return self._epoch

    def statistics(self) -> LogStatistics:
        """`bytes` stays 0: memory is bounded by the number of changes."""
        oldest = self._changes[0].commit_time if self._changes else None
        return LogStatistics(len(self._changes), oldest_commit=oldest, syncs=self._syncs)

    async def aclose(self) -> None:
        self._changes.clear()


async def _read(
    changes: Sequence[Change],
    tables: Collection[TableName] | None,
    gone: GoneReason | None,
) -> AsyncGenerator[Change, None]:
    if gone is not None:
        raise PositionGoneError(gone)
    for start in range(0, len(changes), _SLICE):
        for change in changes[start : start + _SLICE]:
            if tables is None or change.table.full_name in tables:
                yield change
        await asyncio.sleep(0)
