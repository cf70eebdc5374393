"""One replication session: frames in, batches out, standby status in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog

from realtime_hub.changes import Change, ReplicaIdentity, Row, Table
from realtime_hub.errors import DatabaseUnreachableError
from realtime_hub.hub.ports import Batch
from realtime_hub.sources.backoff import Backoff
from realtime_hub.sources.connection import Connection
from realtime_hub.wire.pgoutput import Relation, decode
from realtime_hub.wire.replication import (
    POSTGRES_EPOCH,
    PrimaryKeepalive,
    XLogData,
    decode_frame,
    encode_standby_status,
)
from realtime_hub.wire.transactions import Transactions

log = structlog.get_logger(__name__)

T = TypeVar("T")

MAX_FRAMES: Final = 500
MAX_BYTES: Final = 4 << 20
"""A batch is handed on after this many frames or bytes, so memory has a bound whatever the
rows, and others get their turn."""

_LITTLE: Final = 9
"""Fewer frames than this in one read: the reader keeps up with the server."""

_LAZY_SECONDS: Final = 0.001
"""Between a busy read and the next. A reader that wakes for every packet costs itself two to four
times the CPU on single-row transactions (measured with bench/drain.py)."""

_IDLE_SECONDS: Final = 1.0
"""Batches without changes, which only move the slot on, come at most this often."""

_STATUS_DELAY: Final = 1.0
"""Confirmations within this time go out in one status. Each status wakes the walsender: at a call
centre's rate one for every change doubled what the stream costs the database (bench/latency.py)."""


_CATALOG_PATIENCE: Final = 5.0
"""Seconds for which a stream waits for an answer from elsewhere in the database. A server that
shuts down answers nobody any more, and waits until all of the stream is confirmed: then one of the
two must let go."""


class Describer(Protocol):
    """Knows the catalog: what a Relation message leaves out, and what pgoutput leaves out of rows.

    Both methods may raise DatabaseUnreachableError, and are then called again for a while: rows
    wait, until the stream is given up and begun anew.
    """

    async def describe(self, relation: Relation) -> Table:
        """The Relation's Table: all of its columns, in table order, and those generated."""

    async def generate(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """The rows, in order, with the generated columns that pgoutput left out filled in as far
        as they can be computed. Called for tables that have any, with rows whose other columns
        may be UNCHANGED or UNKNOWN."""


@dataclass(slots=True)
class Progress:
    """How far reading has come, over all sessions. LSNs; last_message_at: `time.monotonic()`."""

    received_lsn: int = 0
    confirmed_lsn: int = 0
    last_message_at: float | None = None


class Session:
    """Reads one START_REPLICATION stream.

    The socket is read only inside `next_batch`, so a slow consumer fills the server's buffers,
    not ours; status goes out by timer all the while.
    """

    def __init__(
        self,
        connection: Connection,
        transactions: Transactions,
        describer: Describer,
        progress: Progress,
        *,
        wal_sender_timeout: float,
    ) -> None:
        self._connection = connection
        self._transactions = transactions
        self._describer = describer
        self._progress = progress
        self._status_interval = wal_sender_timeout / 3
        self._silence = wal_sender_timeout * 3
        self._relation: Relation | None = None
        self._incomplete: dict[int, Table] = {}
        self._more = True
        self._busy = False
        self._drained_at = 0.0
        self._next_idle = 0.0
        self._bytes = 0
        # Of this session alone: the server sends a keepalive only for what lies beyond it.
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._confirmation: asyncio.TimerHandle | None = None
        self._tick()

    async def next_batch(self) -> Batch:
        """Wait for changes, or for an LSN that may be confirmed without any.

        Raises DatabaseUnreachableError when the connection is lost or silent for three times
        the wal_sender_timeout, and what ended the stream otherwise.
        """
        while True:
            if self._relation is not None:
                await self._describe(self._relation)
            await self._input()
            self._drain()
            if self._due():
                return await self._take()

    def confirm(self) -> None:
        """Send a status soon, since the confirmed LSN has grown."""
        if self._confirmation is None:
            loop = asyncio.get_running_loop()
            self._confirmation = loop.call_later(_STATUS_DELAY, self._send_status)

    def close(self) -> None:
        """Say what is confirmed, and disconnect."""
        for timer in (self._timer, self._confirmation):
            if timer is not None:
                timer.cancel()
        self._send_status()
        self._connection.close()

    async def _input(self) -> None:
        """Let something arrive and read it, or let others run if enough is here already."""
        if self._more:
            await asyncio.sleep(0)
            return
        if self._busy:
            await asyncio.sleep(max(0.0, self._drained_at + _LAZY_SECONDS - time.monotonic()))
            self._connection.read()
            return
        held_back = self._transactions.confirmable > 0
        if await self._connection.readable(_IDLE_SECONDS if held_back else self._silence):
            self._connection.read()
        elif not held_back:
            raise DatabaseUnreachableError(f"the server was silent for {self._silence:g} s")

    def _drain(self) -> None:
        """Take in what has come until little is left, a Relation must be described, or the
        batch is full."""
        total = 0
        while True:
            count = self._receive_all(MAX_FRAMES - total)
            total += count
            self._more = (
                self._relation is not None or total >= MAX_FRAMES or self._bytes >= MAX_BYTES
            )
            if self._more or count < _LITTLE:
                break
            self._connection.read()
        self._busy = total >= _LITTLE
        self._drained_at = time.monotonic()
        if total:
            self._progress.received_lsn = max(self._progress.received_lsn, self._received)
            self._progress.last_message_at = self._drained_at

    def _receive_all(self, limit: int) -> int:
        """Take in the frames read, as long as the batch has room; how many they were."""
        receive = self._transactions.receive
        count = 0
        for frame in self._connection.frames():
            count += 1
            content = decode_frame(frame)
            if isinstance(content, XLogData):
                if content.start_lsn > self._received:
                    self._received = content.start_lsn
                event = receive(decode(content.data))
                if isinstance(event, Relation):
                    self._relation = event
                    break
                self._bytes += len(frame)
            else:
                self._keepalive(content)
            if count >= limit or self._bytes >= MAX_BYTES:
                break
        return count

    def _keepalive(self, keepalive: PrimaryKeepalive) -> None:
        self._received = max(self._received, keepalive.end_lsn)
        self._transactions.keepalive(keepalive.end_lsn)
        if keepalive.reply_requested:
            self._send_status()

    def _due(self) -> bool:
        if self._transactions.pending:
            # The rest of a small transaction is on its way: with its end in hand, whoever keeps
            # answers of the database knows of all that it wrote.
            small = not self._more and self._transactions.pending < MAX_FRAMES
            return not (self._transactions.open and small)
        return self._transactions.confirmable > 0 and time.monotonic() >= self._next_idle

    async def _take(self) -> Batch:
        changes, confirmable = self._transactions.take()
        self._bytes = 0
        self._next_idle = time.monotonic() + _IDLE_SECONDS
        if self._incomplete:
            changes = await self._generated(changes)
        return Batch(changes, confirmable)

    async def _describe(self, relation: Relation) -> None:
        table = await _answered(lambda: self._describer.describe(relation))
        self._relation = None
        self._transactions.describe(table)
        self._incomplete.pop(relation.oid, None)
        sent = {column.name for column in relation.columns}
        if any(column.generated and column.name not in sent for column in table.columns):
            self._incomplete[relation.oid] = table

    async def _generated(self, changes: Sequence[Change]) -> Sequence[Change]:
        for table in self._incomplete.values():
            if any(change.table is table for change in changes):
                changes = await self._generate(table, changes)
        return changes

    async def _generate(self, table: Table, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes with the table's whole rows completed; key-only old rows stay as they are."""
        whole_old = table.identity is ReplicaIdentity.FULL
        rows: list[Row] = []
        for change in changes:
            if change.table is table:
                rows += [row for row in _whole_rows(change, whole_old) if row is not None]
        generated = iter(await _answered(lambda: self._describer.generate(table, rows)))
        completed = []
        for change in changes:
            if change.table is table:
                new, old = _whole_rows(change, whole_old)
                change = change._replace(
                    new=None if new is None else next(generated),
                    old=change.old if old is None else next(generated),
                )
            completed.append(change)
        return completed

    def _tick(self) -> None:
        self._send_status(reply_requested=True)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._status_interval, self._tick)

    def _send_status(self, *, reply_requested: bool = False) -> None:
        """reply_requested: have the server answer, so that its silence means that it is gone."""
        if self._confirmation is not None:
            self._confirmation.cancel()
            self._confirmation = None
        status = encode_standby_status(
            written=self._received,
            flushed=self._progress.confirmed_lsn,
            sent_at=time.time_ns() // 1000 - POSTGRES_EPOCH,
            reply_requested=reply_requested,
        )
        self._connection.send(status)


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """What the catalog says. Raises DatabaseUnreachableError once it has not said it for long."""
    backoff = Backoff()
    until = time.monotonic() + _CATALOG_PATIENCE
    while True:
        try:
            return await ask()
        except DatabaseUnreachableError as error:
            if time.monotonic() > until:
                raise
            delay = backoff.next()
            log.warning("catalog_unreachable", error=str(error), retry_in=round(delay, 3))
        await asyncio.sleep(delay)


def _whole_rows(change: Change, whole_old: bool) -> tuple[Row | None, Row | None]:
    return change.new, change.old if whole_old else None
