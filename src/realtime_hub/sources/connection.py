"""Connections at the level of libpq under asyncio, for what psycopg's own do not offer.

Those have no replication API, and leak when cancelled while connecting; libpq has COPY_BOTH
(documentation, "Streaming Replication Protocol" and libpq's "Asynchronous Command Processing").
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from realtime_hub.errors import (
    DatabaseUnreachableError,
    PublicationMissingError,
    SettingsError,
    SlotInUseError,
    SlotLostError,
    SourceError,
)

Answer: TypeAlias = list[tuple[str | None, ...]]

PINNED: Final = {
    # The text form of values must not depend on who configured the server or the role.
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
    # A missing publication is told as a WARNING by newer servers.
    "client_min_messages": "warning",
    "statement_timeout": "0",
}
_NETWORK: Final = {
    # A server that is gone without a word is noticed also while a slot is made, which may take
    # as long as the oldest transaction: there is nothing else to go by then.
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class CommandError(SourceError):
    """PostgreSQL refused a command or ended the stream with an error; `sqlstate` says which."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(sqlstate, message)
        self.sqlstate = sqlstate
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} (SQLSTATE {self.sqlstate})"


class Connection:
    """One connection to PostgreSQL; not safe for concurrent use, except `send`.

    Every method raises DatabaseUnreachableError once the connection is lost.
    """

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._writing = False
        self._warning: SourceError | None = None
        pgconn.nonblocking = 1
        pgconn.notice_handler = self._notice

    @classmethod
    async def open(cls, conninfo: str, *, connect_timeout: float) -> Connection:
        """Connect within `connect_timeout` seconds; cancelling leaves nothing behind.

        For the replication commands use what `replication_conninfo` returns.

        Raises DatabaseUnreachableError.
        """
        try:
            async with asyncio.timeout(connect_timeout):
                return cls(await _connect(await _resolved(conninfo)))
        except (TimeoutError, psycopg.Error, OSError) as error:
            reason = str(error).strip() or f"no connection within {connect_timeout:g} s"
            raise DatabaseUnreachableError(reason) from error

    async def query(self, command: str) -> Answer:
        """Run one command (SQL or of the replication grammar) and return its rows as text.

        Raises CommandError.
        """
        result = await self._execute(command)
        return [
            tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
            for row in range(result.ntuples)
        ]

    async def start(self, slot: str, *publications: str) -> None:
        """START_REPLICATION from where the slot was confirmed. Raises CommandError."""
        names = string(",".join(map(identifier, publications)))
        result = await self._execute(
            f"START_REPLICATION SLOT {identifier(slot)} LOGICAL 0/0"
            f" (proto_version '1', publication_names {names}, messages 'true')"
        )
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise SourceError("START_REPLICATION did not start a stream")

    async def readable(self, timeout: float) -> bool:
        """Wait until something has arrived; false when nothing came within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await _ready(self._pgconn.socket)
        except TimeoutError:
            return False
        except psycopg.Error as error:
            raise _lost(error) from error
        return True

    def read(self) -> None:
        """Take in what has arrived, about 16 KiB at the most. Never blocks."""
        try:
            self._pgconn.consume_input()
        except psycopg.Error as error:
            raise _lost(error) from error

    def frames(self) -> Iterator[bytes | memoryview]:
        """The CopyData frames that were read; those not asked for stay for the next call.

        Raises what ended the stream: PublicationMissingError, SlotLostError, CommandError.
        """
        get_copy_data = self._pgconn.get_copy_data
        while True:
            try:
                size, frame = get_copy_data(1)
            except psycopg.Error as error:
                raise _lost(error) from error
            if size > 0:
                yield frame
            elif size == 0:
                break
            else:
                raise self._ended()
        if self._warning is not None:
            raise self._warning

    def send(self, frame: bytes) -> None:
        """Send a CopyData frame; what the socket does not take goes out when it can. A broken
        connection is left for the reader to notice."""
        try:
            self._pgconn.put_copy_data(frame)
        except psycopg.Error:
            return
        self._flush()

    def close(self) -> None:
        """Close at once; harmless when called again."""
        if self._pgconn.status == pq.ConnStatus.OK:
            self._stop_writing()
        self._pgconn.finish()

    def _flush(self) -> None:
        try:
            unsent = self._pgconn.flush()
        except psycopg.Error:
            unsent = 0
        if not unsent:
            self._stop_writing()
        elif not self._writing:
            self._writing = True
            asyncio.get_running_loop().add_writer(self._pgconn.socket, self._flush)

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            asyncio.get_running_loop().remove_writer(self._pgconn.socket)

    async def _execute(self, command: str) -> pq.abc.PGresult:
        try:
            self._pgconn.send_query(command.encode())
            while self._pgconn.flush():
                await _ready(self._pgconn.socket, write=True)
            return await self._result()
        except psycopg.Error as error:
            raise _lost(error) from error

    async def _result(self) -> pq.abc.PGresult:
        last: pq.abc.PGresult | None = None
        while True:
            while self._pgconn.is_busy():
                await _ready(self._pgconn.socket)
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is None:
                break
            last = result
            if result.status == pq.ExecStatus.COPY_BOTH:
                break
        if last is None:
            raise DatabaseUnreachableError("the server closed the connection")
        if last.status == pq.ExecStatus.FATAL_ERROR:
            raise _command_error(last)
        return last

    def _ended(self) -> SourceError:
        """Why COPY_BOTH ended. libpq gives the server's error, if any, as a result."""
        try:
            while (result := self._pgconn.get_result()) is not None:
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    return _streaming_error(_command_error(result))
        except psycopg.Error as error:
            return _lost(error)
        return DatabaseUnreachableError("the server ended the stream")

    def _notice(self, notice: pq.abc.PGresult) -> None:
        # PostgreSQL 18 skips a publication that is missing at this point of the WAL, and with
        # it the changes, where older servers fail with undefined_object.
        if notice.error_field(pq.DiagnosticField.SQLSTATE) == b"55000":
            self._warning = PublicationMissingError(_message(notice))


def replication_conninfo(dsn: str, wal_sender_timeout: float) -> str:
    """The DSN with what a walsender's session needs; its own `options` stay in force, and so does
    what it says of the network.

    Raises SettingsError without a word of the DSN, which may hold a password.
    """
    try:
        parameters = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise SettingsError("the DSN is not a PostgreSQL connection string") from None
    pinned = PINNED | {"wal_sender_timeout": str(int(wal_sender_timeout * 1000))}
    options = [str(parameters.get("options") or "")]
    options += [f"-c {name}={value}" for name, value in pinned.items()]
    return make_conninfo(
        "",
        **_NETWORK
        | parameters
        | {
            "replication": "database",
            "client_encoding": "UTF8",
            "options": " ".join(options).strip(),
            "fallback_application_name": "realtime-hub",
        },
    )


def identifier(name: str) -> str:
    """Quote an identifier for SQL and the replication grammar alike."""
    return '"' + _checked(name).replace('"', '""') + '"'


def string(text: str) -> str:
    """Quote a string for SQL and the replication grammar alike."""
    return "'" + _checked(text).replace("'", "''") + "'"


def _checked(text: str) -> str:
    if "\0" in text:
        raise SettingsError("a name can't hold a NUL character")
    return text


async def _resolved(conninfo: str) -> str:
    """Look the host's addresses up here, since libpq would block the event loop with it."""
    parameters = conninfo_to_dict(conninfo)
    host = str(parameters.get("host") or "")
    if not host or host.startswith(("/", "@")) or "," in host or parameters.get("hostaddr"):
        return conninfo
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    hosts = ",".join([host] * len(addresses))
    return make_conninfo(conninfo, host=hosts, hostaddr=",".join(addresses))


async def _connect(conninfo: str) -> pq.abc.PGconn:
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    try:
        while True:
            status = pgconn.connect_poll()
            if status == pq.PollingStatus.OK:
                return pgconn
            if status == pq.PollingStatus.FAILED:
                raise psycopg.OperationalError(pgconn.get_error_message())
            # The socket may be another one after each step: libpq tries all addresses.
            await _ready(pgconn.socket, write=status == pq.PollingStatus.WRITING)
    except BaseException:
        pgconn.finish()
        raise


async def _ready(fd: int, *, write: bool = False) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    watch: Callable[..., object] = loop.add_writer if write else loop.add_reader
    watch(fd, _wake, ready)
    try:
        await ready
    finally:
        (loop.remove_writer if write else loop.remove_reader)(fd)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _streaming_error(error: CommandError) -> SourceError:
    match error.sqlstate:
        case "42704":  # undefined_object: the slot exists, so it is the publication
            return PublicationMissingError(error.message)
        case "58P01":  # undefined_file: a WAL segment is gone
            return SlotLostError(error.message)
        case "55006":
            return SlotInUseError(error.message)
        case state if state[:2] in {"08", "40", "53", "57", "58", "XX"}:
            # Connection, rollback, resources, operator intervention, system: these pass.
            return DatabaseUnreachableError(str(error))
    return error


def _command_error(result: pq.abc.PGresult) -> CommandError:
    sqlstate = _text(result.error_field(pq.DiagnosticField.SQLSTATE)) or "XX000"
    return CommandError(sqlstate, _message(result))


def _message(result: pq.abc.PGresult) -> str:
    fields = pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.MESSAGE_DETAIL
    return ": ".join(text for field in fields if (text := _text(result.error_field(field))))


def _lost(error: psycopg.Error) -> DatabaseUnreachableError:
    return DatabaseUnreachableError(str(error).strip() or "the connection was lost")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
