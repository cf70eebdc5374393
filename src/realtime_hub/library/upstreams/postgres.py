"""Changes straight from a database: one replication slot for all tables of a hub.

For a trusted process: it reads as the role of its URL, past row-level security.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from realtime_hub.changes import Change as RowChange
from realtime_hub.changes import Kind, Row, Table, TableName
from realtime_hub.errors import (
    AuthNotSupportedError,
    LsnError,
    NotFitError,
    SnapshotError,
    SnapshotRefusedError,
    SourceError,
    UndecidedError,
)
from realtime_hub.hub.ports import Batch, SourceState
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Shape
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, SnapshotReceiver
from realtime_hub.lsn import Position, parse_lsn
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.filters import PostgresFilterOracle
from realtime_hub.postgres.pool import Pool, open_pool
from realtime_hub.postgres.snapshots import PostgresSnapshot, PostgresSnapshots, Seen
from realtime_hub.sources.connection import replication_conninfo
from realtime_hub.sources.slots import SlotRequest
from realtime_hub.sources.walsender import WalsenderSource
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.filters import Condition, parse_filter
from realtime_hub.wire.realtime import ChangeEncoder, View

_UNLIMITED: Final = 1 << 40
_WAL_SENDER_TIMEOUT: Final = 10.0
_UNSEEN_SECONDS: Final = 0.02
_MOST_HELD: Final = 10_000
_MOST_XIDS: Final = 20_000
_NOWHERE: Final = Position(0, 0, 0)


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
        self._reader: _Reader | None = None
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
    ) -> _Channel:
        """rows: it holds changes back until its rows are told."""
        with self._being_opened():
            try:
                reader = await self._started()
                known = await reader.catalog.published(table)
                judges = [await reader.judge(known, binding) for binding in bindings]
                channel = _Channel(self, reader, known, judges, receiver, holding=rows)
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
    ) -> _Channel:
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

    async def _started(self) -> _Reader:
        async with self._lock:
            if self._reader is not None and self._reader.ended:
                await self._reader.aclose()
                self._reader = None
            if self._reader is None:
                pool = await open_pool(self._dsn, size=2, application_name="realtime_hub_library")
                self._reader = _Reader(self._dsn, self._publication, self._slot, pool)
            return self._reader


@dataclass(frozen=True, slots=True)
class _Judge:
    """One binding with its filter in the form that the columns print."""

    id: int
    binding: Binding
    conditions: tuple[Condition, ...]

    def wants(self, kind: Kind) -> bool:
        event = self.binding.event
        return event == kind.value or (event == "*" and kind is not Kind.TRUNCATE)


class _Reader:
    """Reads the slot and hands each change to the channels of its table."""

    def __init__(self, dsn: str, publication: str, slot: str | None, pool: Pool) -> None:
        self._pool = pool
        self._durable = slot is not None
        self.catalog = PostgresCatalog(pool, publication)
        self._oracle = PostgresFilterOracle(pool)
        self._snapshots = PostgresSnapshots(pool, search_path="", most=1)
        self._handed_xids: OrderedDict[int, None] = OrderedDict()
        self._channels: dict[TableName, dict[_Channel, None]] = {}
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

    def add(self, channel: _Channel) -> None:
        self._channels.setdefault(channel.table, {})[channel] = None

    def remove(self, channel: _Channel) -> None:
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

    async def judge(self, table: Table, binding: Binding) -> _Judge:
        """Raises SubscriptionError for a filter that does not fit the table."""
        conditions = parse_filter(binding.filter)
        canonical = await self._oracle.canonical(table, conditions) if conditions else ()
        return _Judge(abs(hash(binding)) % (1 << 31) or 1, binding, canonical)

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

    async def matching(self, table: Table, judge: _Judge, rows: Sequence[Row]) -> list[bool]:
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
            await batches.aclose()  # type: ignore[attr-defined]

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
                encoder = ChangeEncoder(change, max_bytes=_UNLIMITED)
            await channel.deliver(encoder, verdicts)

    def _verdicts(self, channel: _Channel, change: RowChange) -> list[_Verdict]:
        row = change.row
        return [
            (judge, self._holds(change.table, row, judge))
            for judge in channel.judges
            if judge.wants(change.kind)
        ]

    def _holds(self, table: Table, row: Row | None, judge: _Judge) -> bool | asyncio.Future[bool]:
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

    def _all(self) -> list[_Channel]:
        return [channel for channels in self._channels.values() for channel in channels]


_Verdict = tuple[_Judge, bool | asyncio.Future[bool]]


class _Channel:
    """One table's part of the stream; an `UpstreamChannel`.

    holding: changes wait until the table's rows have been told.
    """

    def __init__(
        self,
        upstream: PostgresUpstream,
        reader: _Reader,
        table: Table,
        judges: Sequence[_Judge],
        receiver: Receiver,
        *,
        holding: bool,
    ) -> None:
        self.table = table.full_name
        self.judges = judges
        self.receiver = receiver
        self.shape: Shape | None = Shape(table)
        self.resumed = False
        self._described = table
        self._upstream = upstream
        self._reader = reader
        self._last: Position | None = None
        self._held: list[tuple[ChangeEncoder, Sequence[_Verdict]]] | None = [] if holding else None
        self._freed = asyncio.Event()
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
        self, receiver: SnapshotReceiver, snapshot: PostgresSnapshot, judge: _Judge
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
                    encoder = ChangeEncoder(change, max_bytes=_UNLIMITED, snapshot=True)
                    payload = encoder.payload(View(tuple(columns)), [judge.id])
                    receiver.change(Change(payload))
            await receiver.room()

    def resume(self, since: str | None) -> None:
        """Leave out what the listeners have had, if the slot still has all that came after."""
        if since is not None and self._reader.continues:
            self._last = _position(since)
            self.resumed = self._last is not None

    async def deliver(self, encoder: ChangeEncoder, verdicts: Sequence[_Verdict]) -> None:
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

    async def _give(self, encoder: ChangeEncoder, verdicts: Sequence[_Verdict]) -> None:
        """A change that came before, as a durable slot repeats them, is left out, and one that
        the rows have told."""
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
        self._reader.remove(self)
        await self._upstream.stop_idle()

    async def _settled(self, verdict: bool | asyncio.Future[bool]) -> bool:
        if isinstance(verdict, bool):
            return verdict
        try:
            return await verdict
        except UndecidedError as error:
            self.receiver.gap(Gap(self.table, "undecided", str(error)))
            return False


def _explained(error: SourceError) -> SourceError:
    """libpq has no SQLSTATE for a refused connection, only the server's words."""
    said = str(error).lower()
    if "replication" in said and ("wal sender" in said or "walsender" in said):
        return NotFitError(
            "the role may not read a replication slot", "Run `alter role <name> with replication`"
        )
    return error


def _position(text: str) -> Position | None:
    epoch, _, rest = text.partition(":")
    lsn, _, ordinal = rest.partition(":")
    try:
        return Position(int(epoch), parse_lsn(lsn), int(ordinal))
    except (ValueError, LsnError):
        return None
