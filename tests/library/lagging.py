"""A memory source that takes its time: joins wait, and each channel lags behind by its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from realtime_hub.changes import TableName
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, UpstreamChannel
from realtime_hub.library.upstreams.memory import MemorySource


class LaggingSource(MemorySource):
    """lag: seconds of the next channel to be opened, for the join and for each change."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.lag = 0.0
        self.most_on_a_table = 0

    async def open(  # type: ignore[override]
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
    ) -> UpstreamChannel:
        lag = self.lag
        await asyncio.sleep(lag)
        opened = await super().open(table, bindings, _Late(receiver, lag), since=since)
        tables = [channel.table for channel in self._channels]
        self.most_on_a_table = max(self.most_on_a_table, tables.count(table))
        await asyncio.sleep(lag)
        return opened


class _Late:
    """A Receiver that hears everything a while later, in order."""

    def __init__(self, receiver: Receiver, lag: float) -> None:
        self._receiver = receiver
        self._lag = lag
        self._calls: deque[Callable[[], None]] = deque()

    def _later(self, call: Callable[..., None], *arguments: object) -> None:
        self._calls.append(partial(call, *arguments))
        # Timers that are due at the same time have no order of their own.
        asyncio.get_running_loop().call_later(self._lag, self._next)

    def _next(self) -> None:
        self._calls.popleft()()

    def change(self, change: Change) -> None:
        self._later(self._receiver.change, change)

    def gap(self, gap: Gap) -> None:
        self._later(self._receiver.gap, gap)

    def interrupted(self, error: Exception) -> None:
        self._later(self._receiver.interrupted, error)

    def restored(self) -> None:
        self._later(self._receiver.restored)

    def lost(self, error: Exception) -> None:
        self._later(self._receiver.lost, error)

    async def room(self) -> None:
        await self._receiver.room()

    async def handled(self) -> None:
        await self._receiver.handled()
