"""Runs a Source and keeps what it yields, so that tests can wait for facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from realtime_hub.changes import Change, Row
from realtime_hub.errors import RealtimeHubError
from realtime_hub.hub.ports import Batch, Source, SourceState
from realtime_hub.sources.walsender import WalsenderSource
from tests.support.waiting import PATIENCE, until


class Reading:
    """`async with Reading(source) as reading:` reads until the block ends, then closes.

    confirm: confirm each batch as soon as it came.
    """

    def __init__(self, source: WalsenderSource, *, confirm: bool = True) -> None:
        self.source = source
        self.batches: list[Batch] = []
        self._confirm = confirm
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read(self.source))
        await self.until(lambda: self.source.state is SourceState.STREAMING)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        try:
            await asyncio.gather(self._task, return_exceptions=True)
        finally:
            await self.source.aclose()

    @property
    def changes(self) -> list[Change]:
        return [change for batch in self.batches for change in batch.changes]

    @property
    def rows(self) -> list[Row | None]:
        return [change.row for change in self.changes]

    async def until(self, fact: Callable[[], object]) -> None:
        """Wait for the fact; what the source raises comes out here."""

        def settled() -> object:
            if self._task is not None and self._task.done():
                self._task.result()
                raise AssertionError("the source has ended")
            return fact()

        await until(settled)

    async def count(self, number: int) -> list[Change]:
        """Wait for that many changes."""
        await self.until(lambda: len(self.changes) >= number)
        return self.changes

    async def committed(self, number: int) -> int:
        """Wait for that many changes and for the LSN that confirms them all."""
        lsn = (await self.count(number))[-1].position.lsn
        await self.until(lambda: self._confirmable() > lsn)
        return self._confirmable()

    def _confirmable(self) -> int:
        return max((batch.confirmable for batch in self.batches), default=0)

    async def _read(self, source: Source) -> None:
        async for batch in source.batches():
            self.batches.append(batch)
            if self._confirm and batch.confirmable:
                source.confirm(batch.confirmable)


async def failure(source: WalsenderSource) -> RealtimeHubError:
    """Read on until `batches` raises, and return what it raised."""
    try:
        async with asyncio.timeout(PATIENCE):
            async for batch in source.batches():
                source.confirm(batch.confirmable)
    except RealtimeHubError as error:
        return error
    finally:
        await source.aclose()
    raise AssertionError("the source has ended")
