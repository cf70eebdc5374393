"""Changes straight from a database: one replication slot for all tables of a hub.

For a trusted process: it reads as the role of its URL, past row-level security.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from realtime_hub.changes import Change as RowChange
from realtime_hub.changes import Row, Table, TableName
from realtime_hub.errors import (
    AuthNotSupportedError,
    NotFitError,
    SnapshotError,
    SnapshotRefusedError,
    SourceError,
)
from realtime_hub.hub.ports import Batch, SourceState
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, SnapshotReceiver
from realtime_hub.library.upstreams.slotchannel import UNLIMITED, Judge, SlotChannel, Verdict
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.filters import PostgresFilterOracle
from realtime_hub.postgres.pool import Pool, open_pool
from realtime_hub.postgres.snapshots import PostgresSnapshot, PostgresSnapshots
from realtime_hub.sources.connection import replication_conninfo
from realtime_hub.sources.slots import SlotRequest
from realtime_hub.sources.walsender import WalsenderSource
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.filters import Condition, parse_filter
from realtime_hub.wire.realtime import ChangeEncoder

_WAL_SENDER_TIMEOUT: Final = 10.0
_UNSEEN_SECONDS: Final = 0.02
_MOST_XIDS: Final = 20_000


class PostgresUpstream:
    """dsn: of a role with REPLICATION. slot: None for a temporary one, which ends with the
    connection: nothing is left behind, and what happens while it is lost is told as a gap. With
    a name the slot is durable: it is confirmed once listeners have handled the changes, so after
    a restart they come again from there. Somebody must drop it when it is no longer read.

    Raises SettingsError for a DSN or slot name that PostgreSQL would refuse.
    """

    kind = "postgres"
    truncates = True
    selective = False  # the whole publication is read whatever is asked for

    def __init__(self, dsn: str, *, publication: str, slot: str | None = None) -> None:
        replication_conninfo(dsn, _WAL_SENDER_TIMEOUT)
        if slot is not None:
            SlotRequest(slot, publication, temporary=False, create=True)
        self._dsn = dsn
        self._publication = publication
        self._slot = slot
        self._reader: SlotReader | None = None
        self._opening = 0
        self._lock = asyncio.Lock()

    async def open(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
        rows: bool = False,
    ) -> SlotChannel:
        """rows: it holds changes back until its rows are told."""

        async def left(channel: SlotChannel) -> None:
            reader.remove(channel)
            await self.stop_idle()

        with self._being_opened():
            try:
                reader = await self._started()
                known = await reader.catalog.published(table)
                judges = [await reader.judge(known, binding) for binding in bindings]
                channel = SlotChannel(reader, known, judges, receiver, left, holding=rows)
                reader.add(channel)
                try:
                    await reader.streaming()
                except BaseException:
                    reader.remove(channel)
                    raise
            except BaseException:
                await self.stop_idle(opening=1)
                raise
            channel.resume(since)
            return channel

    async def open_snapshot(
        self, table: TableName, binding: Binding, receiver: SnapshotReceiver, *, truncates: bool
    ) -> SlotChannel:
        bindings = [binding, Binding("TRUNCATE")] if truncates else [binding]
        channel = await self.open(table, bindings, receiver, rows=True)
        try:
            await channel.tell_rows(receiver)
        except SnapshotError as error:
            await channel.close()
            raise SnapshotRefusedError(str(error)) from error
        except BaseException:
            await channel.close()
            raise
        return channel

    async def set_auth(self, token: str | None) -> None:
        raise AuthNotSupportedError(self.kind)

    async def aclose(self) -> None:
        async with self._lock:
            if self._reader is not None:
                await self._reader.aclose()
                self._reader = None
        self._lock = asyncio.Lock()  # the next user may be on another event loop

    async def stop_idle(self, *, opening: int = 0) -> None:
        """Stop reading if no channel is open, and none but `opening` about to be."""
        async with self._lock:
            reader = self._reader
            if reader is not None and not reader.busy and self._opening <= opening:
                self._reader = None
                await reader.aclose()

    @contextmanager
    def _being_opened(self) -> Iterator[None]:
        self._opening += 1
        if self._reader is not None:
            self._reader.hold()
        try:
            yield
        finally:
            self._opening -= 1
            if self._opening == 0 and self._reader is not None:
                self._reader.go_on()

    async def _started(self) -> SlotReader:
        async with self._lock:
            if self._reader is not None and self._reader.ended:
                await self._reader.aclose()
                self._reader = None
            if self._reader is None:
                pool = await open_pool(self._dsn, size=2, application_name="realtime_hub_library")
                self._reader = SlotReader(self._dsn, self._publication, self._slot, pool)
            return self._reader


class SlotReader:
    """Reads the slot and hands each change to the channels of its table."""

    def __init__(self, dsn: str, publication: str, slot: str | None, pool: Pool) -> None:
        self._pool = pool
        self._durable = slot is not None
        self.catalog = PostgresCatalog(pool, publication)
        self._oracle = PostgresFilterOracle(pool)
        self._snapshots = PostgresSnapshots(pool, search_path="", most=1)
        self._handed_xids: OrderedDict[int, None] = OrderedDict()
        self._channels: dict[TableName, dict[SlotChannel, None]] = {}
        self._bound: dict[tuple[Table, tuple[Condition, ...]], BoundFilter] = {}
        self._settled = asyncio.Event()
        self._failure: SourceError | None = None
        self._free = asyncio.Event()
        self._begun = False
        self._confirmable = 0
        self._confirming = asyncio.Event()
        self._source = WalsenderSource(
            dsn,
            slot=slot or f"realtime_hub_{secrets.token_hex(6)}",
            publication=publication,
            describer=self.catalog,
            temporary=slot is None,
            heartbeat=10.0 if self._durable else None,
            wal_sender_timeout=_WAL_SENDER_TIMEOUT,
            on_state=self._changed_state,
        )
        self._tasks = [asyncio.create_task(self._read(), name="realtime-hub replication")]
        if self._durable:
            self._tasks.append(asyncio.create_task(self._confirm(), name="realtime-hub confirm"))

    @property
    def busy(self) -> bool:
        return bool(self._channels)

    @property
    def ended(self) -> bool:
        return self._tasks[0].done()

    @property
    def continues(self) -> bool:
        """Whether the slot was there before, with all that came since it was confirmed."""
        origin = self._source.statistics().origin
        return self._durable and origin is not None and not origin.created

    def hold(self) -> None:
        """Hand nothing on while channels are being opened: a durable slot's first changes are
        for all tables that are subscribed to at the start."""
        if not self._begun:
            self._free.clear()

    def go_on(self) -> None:
        self._free.set()

    def add(self, channel: SlotChannel) -> None:
        self._channels.setdefault(channel.table, {})[channel] = None

    def remove(self, channel: SlotChannel) -> None:
        found = self._channels.get(channel.table, {})
        found.pop(channel, None)
        if not found:
            self._channels.pop(channel.table, None)

    async def streaming(self) -> None:
        """Return once changes flow. Raises what kept them from it, or ended the reading."""
        waiting = asyncio.create_task(self._settled.wait())
        try:
            await asyncio.wait({waiting, self._tasks[0]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._tasks[0].done():
            self._tasks[0].result()
            raise SourceError("the stream has ended")
        if self._failure is not None:
            raise self._failure

    async def judge(self, table: Table, binding: Binding) -> Judge:
        """Raises SubscriptionError for a filter that does not fit the table."""
        conditions = parse_filter(binding.filter)
        canonical = await self._oracle.canonical(table, conditions) if conditions else ()
        return Judge(abs(hash(binding)) % (1 << 31) or 1, binding, canonical)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresSnapshot]:
        """One that sees all transactions that were handed on before: a commit stands in the WAL
        before others see it."""
        while True:
            async with self._snapshots.open(None) as snapshot:
                if snapshot.seen.undecided.isdisjoint(self._handed_xids):
                    yield snapshot
                    return
            await asyncio.sleep(_UNSEEN_SECONDS)

    async def matching(self, table: Table, judge: Judge, rows: Sequence[Row]) -> list[bool]:
        """Which of a table's rows a binding's filter wants."""
        found = [self._holds(table, row, judge) for row in rows]
        return [one if isinstance(one, bool) else await one for one in found]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._source.aclose()
        await self._oracle.aclose()
        await self._pool.aclose()

    # Reading

    async def _read(self) -> None:
        batches = self._source.batches()
        try:
            async for batch in batches:
                await self._free.wait()
                self._begun = True
                await self._hand_on(batch)
                self._handed_on(batch.confirmable)
        except Exception as error:
            self._lose(error)
            raise
        finally:
            await batches.aclose()

    async def _hand_on(self, batch: Batch) -> None:
        """Ask PostgreSQL what it must be asked for the whole batch at once, then deliver in
        order."""
        for change in batch.changes:
            self._handed_xids[change.xid] = None
        while len(self._handed_xids) > _MOST_XIDS:
            self._handed_xids.popitem(last=False)
        deliveries = [
            (channel, change, self._verdicts(channel, change))
            for change in batch.changes
            for channel in tuple(self._channels.get(change.table.full_name, ()))
        ]
        encoder: ChangeEncoder | None = None
        for channel, change, verdicts in deliveries:
            if encoder is None or encoder.change is not change:
                encoder = ChangeEncoder(change, max_bytes=UNLIMITED)
            await channel.deliver(encoder, verdicts)

    def _verdicts(self, channel: SlotChannel, change: RowChange) -> list[Verdict]:
        row = change.row
        return [
            (judge, self._holds(change.table, row, judge))
            for judge in channel.judges
            if judge.wants(change.kind)
        ]

    def _holds(self, table: Table, row: Row | None, judge: Judge) -> bool | asyncio.Future[bool]:
        if not judge.conditions or row is None:
            return not judge.conditions
        key = table, judge.conditions
        bound = self._bound.get(key)
        if bound is None:
            # A Table is made anew when it may have changed: what was bound to others goes.
            self._bound = {
                k: b for k, b in self._bound.items() if k[0].oid != table.oid or k[0] is table
            }
            bound = self._bound[key] = bind_filter(judge.conditions, table)
        if not bound.matches(row):
            return False
        return self._oracle.matches(table, row, bound.asked) if bound.asked else True

    def _handed_on(self, lsn: int) -> None:
        if not lsn:
            return
        if self._durable:
            self._confirmable = lsn
            self._confirming.set()
        else:
            self._source.confirm(lsn)

    async def _confirm(self) -> None:
        """Confirm what listeners have handled."""
        while True:
            await self._confirming.wait()
            self._confirming.clear()
            lsn = self._confirmable
            for channel in self._all():
                await channel.receiver.handled()
            self._source.confirm(lsn)

    # What becomes of the stream

    def _changed_state(self, state: SourceState, error: SourceError | None) -> None:
        if state is SourceState.STREAMING:
            self._failure = None
            self._settled.set()
            for channel in self._all():
                channel.receiver.restored()
        elif state is SourceState.WAITING and error is not None:
            self._failure = _explained(error)
            self._settled.set()
            for channel in self._all():
                channel.receiver.interrupted(error)

    def _lose(self, error: Exception) -> None:
        for channel in self._all():
            channel.receiver.lost(error)
        self._channels.clear()

    def _all(self) -> list[SlotChannel]:
        return [channel for channels in self._channels.values() for channel in channels]


def _explained(error: SourceError) -> SourceError:
    """libpq has no SQLSTATE for a refused connection, only the server's words."""
    said = str(error).lower()
    if "replication" in said and ("wal sender" in said or "walsender" in said):
        return NotFitError(
            "the role may not read a replication slot", "Run `alter role <name> with replication`"
        )
    return error
