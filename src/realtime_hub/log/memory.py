"""A ChangeLog that forgets: nothing survives the process.

After a crash the slot repeats what was not confirmed, and confirmation here means only that
changes were handed to those connected. It serves tests and `--log memory`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection

from realtime_hub.changes import Change, TableName
from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.ports import Batch
from realtime_hub.lsn import Position


class MemoryChangeLog:
    """Keeps the last `limit` changes in memory."""

    def __init__(self, *, limit: int = 10_000) -> None:
        self._changes: deque[Change] = deque(maxlen=limit)
        self._forgotten: Position | None = None
        self._confirmable = 0
        self._confirmed = 0
        self._news = asyncio.Event()

    @property
    def head(self) -> Position | None:
        return self._changes[-1].position if self._changes else None

    def append(self, batch: Batch) -> None:
        changes = self._changes
        overflow = len(changes) + len(batch.changes) - (changes.maxlen or 0)
        if overflow > 0:
            self._forgotten = self._last_forgotten(batch, overflow)
        changes.extend(batch.changes)
        if batch.confirmable > self._confirmable:
            self._confirmable = batch.confirmable
            self._news.set()

    async def sync(self) -> int:
        while self._confirmable <= self._confirmed:
            self._news.clear()
            await self._news.wait()
        self._confirmed = self._confirmable
        return self._confirmed

    async def read(self, after: Position, tables: Collection[TableName]) -> AsyncIterator[Change]:
        if self._forgotten is not None and after < self._forgotten:
            raise PositionGoneError(f"changes up to {self._forgotten} are no longer kept")
        for change in list(self._changes):
            if change.position > after and change.table.full_name in tables:
                yield change

    async def aclose(self) -> None:
        self._changes.clear()

    def _last_forgotten(self, batch: Batch, overflow: int) -> Position:
        kept = len(self._changes)
        if overflow <= kept:
            return self._changes[overflow - 1].position
        return batch.changes[overflow - kept - 1].position
