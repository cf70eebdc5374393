"""The order of things: read, keep, dispatch; make durable, confirm.

Delivery does not wait for durability: after a crash the slot repeats the changes with the
same Positions. The WAL is confirmed only after the log's `sync`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

import structlog

from realtime_hub.changes import Table, TableName
from realtime_hub.errors import SlotLostError
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.ports import Authorizer, Batch, ChangeLog, Source
from realtime_hub.lsn import Position
from realtime_hub.node.messages import MessageReader, is_message_table
from realtime_hub.node.preparing import prepare
from realtime_hub.node.recent import Recent

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS: Final = 5.0
_TABLE_OF: Final = attrgetter("table.schema", "table.name")


@dataclass(slots=True)
class PipelineStatistics:
    """changes: taken from the source. repeated: of those, given before and dropped.
    last_commit: commit time of the last change, microseconds since the Unix epoch. breaks: of
    the LSN line, each with a gap. by_table: changes by schema and name of their table, without
    those of `realtime.messages`."""

    changes: int = 0
    repeated: int = 0
    last_commit: int = 0
    breaks: int = 0
    by_table: Counter[tuple[str, str]] = field(default_factory=Counter)


class Pipeline:
    """Moves changes from the source to the log and the dispatcher, and confirms them.

    messages: takes what the database broadcasts; without it those are changes like others.
    begun: called when the source has begun to give batches. recent: told what was dispatched.
    """

    def __init__(
        self,
        source: Source,
        changelog: ChangeLog,
        authorizer: Authorizer,
        dispatcher: Dispatcher,
        messages: MessageReader | None = None,
        *,
        statistics: PipelineStatistics | None = None,
        begun: Callable[[], None] | None = None,
        recent: Recent | None = None,
    ) -> None:
        self._source = source
        self._log = changelog
        self._authorizer = authorizer
        self._dispatcher = dispatcher
        self._messages = messages
        self._tables: dict[TableName, Table] = {}
        # What is kept from before a restart was delivered, or is read from the log on resume.
        self._last: Position | None = changelog.head
        self._repeating = False
        self._begun = begun
        self._recent = recent
        self.statistics = PipelineStatistics() if statistics is None else statistics

    async def run(self) -> None:
        """Run until cancelled or until the source ends or fails with a SourceError.

        Raises SlotLostError also where the source goes on in another history than the log's.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                confirming = tasks.create_task(self._confirm(), name="confirm")
                await self._read()
                confirming.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _read(self) -> None:
        while not await self._read_on():
            log.warning("stream_let_go")

    async def _read_on(self) -> bool:
        """Read until the source ends; false if it has to be read anew from what was confirmed.

        A server that shuts down answers no question, and waits for the end of its streams: who
        held on to one while rights can't be read would keep it from ending.
        """
        async with aclosing(self._source.batches()) as batches:
            async for batch in batches:
                if self._begun is not None:
                    self._begun()
                    self._begun = None
                if not await self._prepared(batch):
                    return False
                self._take(batch)
                await self._log.room()
        return True

    async def _prepared(self, batch: Batch) -> bool:
        """Whether the rights of all tables have been read, in the versions that come now."""
        for change in self._without_messages(batch).changes:
            table = change.table
            if self._tables.get(table.full_name) is not table:
                if not await prepare(self._authorizer, table, patience=_PATIENCE_SECONDS):
                    return False
                self._tables[table.full_name] = table
        return True

    def _take(self, batch: Batch) -> None:
        fresh = self._fresh(batch)
        kept = self._without_messages(fresh)
        self._authorizer.follow(fresh)
        # Without an await: what stands in the log has been dispatched, so who
        # has read up to its head and is registered in that moment misses and repeats nothing.
        self._log.append(kept)
        if self._recent is not None:
            self._recent.note(kept.changes)
        self.statistics.by_table.update(map(_TABLE_OF, kept.changes))
        for change in fresh.changes:
            if self._messages is not None and is_message_table(change.table):
                self._messages.take(change)
            else:
                self._dispatcher.dispatch(change)
        if fresh.changes:
            self.statistics.last_commit = fresh.changes[-1].commit_time

    def _fresh(self, batch: Batch) -> Batch:
        """The batch without what was taken before; a reconnected source repeats changes.

        Repeats lead up to the last change that was taken. Where they pass it by, the server's
        WAL is another than the one that it stood in.
        """
        self.statistics.changes += len(batch.changes)
        if not batch.changes:
            return batch
        last, end = self._last, batch.changes[-1].position
        if last is None or (batch.changes[0].position > last and not self._repeating):
            self._last = end
            return batch
        self._repeating = all(change.position != last for change in batch.changes)
        if self._repeating and end > last:
            raise SlotLostError("the server repeats other changes than those that were kept")
        self._last = max(last, end)
        changes = [change for change in batch.changes if change.position > last]
        self.statistics.repeated += len(batch.changes) - len(changes)
        return Batch(changes, batch.confirmable)

    def _without_messages(self, batch: Batch) -> Batch:
        """The batch without broadcasts from the database, which are said and not kept."""
        if self._messages is None:
            return batch
        changes = [change for change in batch.changes if not is_message_table(change.table)]
        return batch if len(changes) == len(batch.changes) else Batch(changes, batch.confirmable)

    async def _confirm(self) -> None:
        while True:
            self._source.confirm(await self._log.sync())
