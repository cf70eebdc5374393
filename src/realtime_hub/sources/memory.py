"""A Source fed by hand: for tests, and for changes that come from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from realtime_hub.changes import Change
from realtime_hub.hub.ports import Batch, SourceState


class MemorySource:
    """Yields what `push` was given, in order; unbounded, since whoever pushes decides.

    confirmed: the highest LSN told to `confirm`.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._state = SourceState.CONNECTING
        self.confirmed = 0

    @property
    def state(self) -> SourceState:
        return self._state

    def push(self, changes: Batch | Sequence[Change]) -> None:
        """Queue a batch. Bare changes count as whole transactions: their last one's LSN is
        confirmable."""
        if not isinstance(changes, Batch):
            changes = Batch(changes, changes[-1].position.lsn if changes else 0)
        self._queue.put_nowait(changes)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        if self._state is not SourceState.CLOSED:
            self._state = SourceState.STREAMING
        while (batch := await self._queue.get()) is not None:
            yield batch

    def confirm(self, lsn: int) -> None:
        self.confirmed = max(self.confirmed, lsn)

    async def aclose(self) -> None:
        """`batches` ends once it has given what was pushed before."""
        if self._state is not SourceState.CLOSED:
            self._state = SourceState.CLOSED
            self._queue.put_nowait(None)
