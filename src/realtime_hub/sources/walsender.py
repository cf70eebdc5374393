"""The Source that reads a replication slot: connect, prepare the slot, stream, try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import structlog

from realtime_hub.errors import (
    DatabaseUnreachableError,
    ReplicationProtocolError,
    SlotInUseError,
    SlotLostError,
    SourceError,
)
from realtime_hub.hub.ports import Batch, SourceState
from realtime_hub.sources.backoff import Backoff
from realtime_hub.sources.connection import (
    CommandError,
    Connection,
    replication_conninfo,
)
from realtime_hub.sources.heartbeat import beat
from realtime_hub.sources.session import Describer, Progress, Session
from realtime_hub.sources.slots import (
    SlotRequest,
    StreamLine,
    StreamOrigin,
    identify,
    prepare,
    start_error,
)
from realtime_hub.wire.transactions import Transactions

__all__ = ["Describer", "StreamLine", "StreamOrigin", "WalsenderSource", "WalsenderStatistics"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WalsenderStatistics:
    """How far the source has come.

    received_lsn, confirmed_lsn: 0 before the first. last_message_at: `time.monotonic()` of the
    last thing heard from the server. reconnects: sessions after the first. origin: the stream
    as it was when the first session began.
    """

    state: SourceState
    received_lsn: int
    confirmed_lsn: int
    last_message_at: float | None
    reconnects: int
    origin: StreamOrigin | None


class WalsenderSource:
    """Reads the publication's changes from a replication slot; a `hub.ports.Source`.

    dsn: libpq connection string of a role with REPLICATION. also: another publication that is
    read with the first. slot: made if it does not exist
    and `create` is true. temporary: the slot ends with the connection, so a lost connection
    raises SlotLostError instead of being tried again. epoch: goes into every Position.
    heartbeat: seconds between pulses written to the WAL; None for none. wal_sender_timeout:
    seconds after which the server frees the slot of a reader that went silent. on_state: called
    when the state changes, with what interrupted the stream when it did. line: the stream that
    is expected, None for any. failover: make the slot one that standbys keep too. renew: drop a
    slot of this name first.

    Who kept changes of the slot before calls `confirm` with the LSN that was durable, ahead of
    `batches`: a slot that is gone, or that stands beyond it, then raises SlotLostError.

    The first batch after each connect is empty: the stream stands.

    `batches` raises NotFitError, PublicationMissingError, SlotLostError (also when another
    server or timeline answers than before), SettingsError, and SourceError itself for what
    PostgreSQL or the bytes on the wire refuse otherwise.
    """

    def __init__(
        self,
        dsn: str,
        *,
        slot: str,
        publication: str,
        also: str | None = None,
        describer: Describer,
        temporary: bool = False,
        create: bool = True,
        epoch: int = 0,
        line: StreamLine | None = None,
        failover: bool = False,
        renew: bool = False,
        heartbeat: float | None = 10.0,
        wal_sender_timeout: float = 10.0,
        connect_timeout: float = 10.0,
        max_retry_delay: float = 10.0,
        on_state: Callable[[SourceState, SourceError | None], None] | None = None,
    ) -> None:
        self._dsn = dsn
        self._conninfo = replication_conninfo(dsn, wal_sender_timeout)
        self._request = SlotRequest(slot, publication, temporary, create, failover, also)
        self._line = line
        self._renew = renew
        self._describer = describer
        self._epoch = epoch
        self._heartbeat = heartbeat
        self._wal_sender_timeout = wal_sender_timeout
        self._connect_timeout = connect_timeout
        self._backoff = Backoff(maximum=max_retry_delay)
        self._state = SourceState.CONNECTING
        self._on_state = on_state
        self._progress = Progress()
        self._sessions = 0
        self._origin: StreamOrigin | None = None
        self._session: Session | None = None
        self._log = log.bind(slot=slot, publication=publication)

    @property
    def state(self) -> SourceState:
        return self._state

    def statistics(self) -> WalsenderStatistics:
        return WalsenderStatistics(
            state=self._state,
            received_lsn=self._progress.received_lsn,
            confirmed_lsn=self._progress.confirmed_lsn,
            last_message_at=self._progress.last_message_at,
            reconnects=max(0, self._sessions - 1),
            origin=self._origin,
        )

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """The committed changes, in order; may be iterated once at a time.

        Back-pressure: nothing is read from the server until the next batch is asked for.
        """
        pulse = self._start_heartbeat()
        try:
            while True:
                try:
                    session = await self._connect()
                    yield Batch(())
                    while True:
                        yield await session.next_batch()
                        self._backoff.reset()
                except (DatabaseUnreachableError, SlotInUseError) as error:
                    self._end_session()
                    await self._wait(error)
                except ReplicationProtocolError as error:
                    raise SourceError(str(error)) from error
        finally:
            self._end_session()
            self._enter(SourceState.CLOSED)
            if pulse is not None:
                pulse.cancel()

    def confirm(self, lsn: int) -> None:
        if lsn > self._progress.confirmed_lsn:
            self._progress.confirmed_lsn = lsn
            if self._session is not None:
                self._session.confirm()

    async def aclose(self) -> None:
        self._end_session()
        self._enter(SourceState.CLOSED)

    def _enter(self, state: SourceState, error: SourceError | None = None) -> None:
        if state is not self._state:
            self._state = state
            if self._on_state is not None:
                self._on_state(state, error)

    @staticmethod
    async def identify(
        dsn: str, publication: str, *, also: str | None = None, connect_timeout: float = 10.0
    ) -> StreamLine:
        """Which stream a source of this database would read. also: a publication that may be
        missing; the line tells whether it is.

        Raises DatabaseUnreachableError, PublicationMissingError, CommandError.
        """
        conninfo = replication_conninfo(dsn, wal_sender_timeout=10.0)
        connection = await Connection.open(conninfo, connect_timeout=connect_timeout)
        try:
            return await identify(connection, publication, also)
        finally:
            connection.close()

    async def _connect(self) -> Session:
        self._enter(SourceState.CONNECTING)
        connection = await Connection.open(self._conninfo, connect_timeout=self._connect_timeout)
        try:
            known = self._known_lsn()
            origin = await prepare(connection, self._request, known, renew=self._renew)
            self._renew = False
            self._check_same_stream(origin)
            await self._start(connection)
        except BaseException:
            connection.close()
            raise
        self._session = Session(
            connection,
            Transactions(self._epoch),
            self._describer,
            self._progress,
            wal_sender_timeout=self._wal_sender_timeout,
        )
        self._sessions += 1
        self._enter(SourceState.STREAMING)
        self._log.info("streaming", created=origin.created, confirmed=origin.confirmed_lsn)
        return self._session

    def _known_lsn(self) -> int:
        """Where the slot stood last, as far as we know; 0 before the first session."""
        first = 0 if self._origin is None else self._origin.confirmed_lsn
        return max(first, self._progress.confirmed_lsn)

    async def _start(self, connection: Connection) -> None:
        try:
            also = () if self._request.also is None else (self._request.also,)
            await connection.start(self._request.slot, self._request.publication, *also)
        except CommandError as error:
            raise start_error(error) from error

    def _check_same_stream(self, origin: StreamOrigin) -> None:
        if self._line is None:
            self._line = origin.line
        if origin.line != self._line:
            raise SlotLostError(
                "another server answers than before, or another timeline of it, or the"
                " publication was made anew"
            )
        if self._origin is None:
            self._origin = origin

    async def _wait(self, error: SourceError) -> None:
        if self._request.temporary and self._origin is not None:
            raise SlotLostError("the temporary slot ended with its connection") from error
        self._enter(SourceState.WAITING, error)
        delay = self._backoff.next()
        self._log.warning(
            "stream_interrupted", code=error.code, error=str(error), retry_in=round(delay, 3)
        )
        await asyncio.sleep(delay)

    def _start_heartbeat(self) -> asyncio.Task[None] | None:
        if self._heartbeat is None:
            return None
        return asyncio.create_task(beat(self._dsn, self._heartbeat), name="heartbeat")

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
