"""Pooled connections for short questions to PostgreSQL; the walsender has one of its own."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from realtime_hub.errors import DatabaseUnreachableError, SettingsError

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]

STATEMENT_TIMEOUT: Final = 10.0
"""Seconds; a question that takes longer is given up by the server."""

# The text form of values must be what the walsender's session prints, and no name may depend
# on somebody's search path.
_PINNED: Final = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
    "search_path": "",
}
# Classes of SQLSTATE that mean the server does not serve us now: connection exceptions,
# insufficient resources, operator intervention (but a cancelled statement is the caller's).
_UNREACHABLE_CLASSES: Final = ("08", "53", "57P")
_RETRY_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 5.0
"""More than a statement may take, after which a server is given up that says nothing."""

_T = TypeVar("_T")


class _Listening(psycopg.AsyncConnection[TupleRow]):
    """Does not wait for ever for a server that is gone without a word.

    silence: seconds within which the server answers, or cancels what takes too long.
    """

    silence = STATEMENT_TIMEOUT + _SILENCE_SECONDS

    async def wait(self, gen: PQGen[_T], *more: Any, **options: Any) -> _T:
        loop = asyncio.get_running_loop()
        watchdog = loop.call_later(self.silence, self._hang_up)
        try:
            return await super().wait(gen, *more, **options)
        finally:
            watchdog.cancel()

    def _hang_up(self) -> None:
        """End the connection beneath whoever waits, as a server does that goes away."""
        if not self.closed:
            with socket.socket(fileno=os.dup(self.fileno())) as line, suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class Pool:
    """Up to `size` connections in autocommit, opened when they are needed.

    Made by `open_pool`; whoever opened it calls `aclose`.
    """

    def __init__(self, pool: AsyncConnectionPool[Connection], timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the time of the block.

        It is given back in autocommit and outside any transaction; one that was lost is
        replaced. Other errors of PostgreSQL's pass as psycopg raises them.

        Raises:
            DatabaseUnreachableError: none came within the pool's timeout, or it was lost.
        """
        try:
            async with self._pool.connection(self._timeout) as connection:
                yield connection
        except PoolTimeout:
            raise DatabaseUnreachableError(
                f"no connection to PostgreSQL within {self._timeout:g} s"
            ) from None
        except (PoolClosed, TooManyRequests) as error:
            raise DatabaseUnreachableError(str(error)) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if not _is_unreachable(error):
                raise
            # The server has gone, and with it all connections that wait in the pool.
            await self._pool.drain()
            raise DatabaseUnreachableError(_first_line(error)) from error

    async def aclose(self) -> None:
        """Close all connections; those in use once they are given back."""
        await self._pool.close()


async def open_pool(
    dsn: str,
    *,
    size: int,
    application_name: str,
    timeout: float = 5.0,
    statement_timeout: float = STATEMENT_TIMEOUT,
) -> Pool:
    """A pool that connects on demand: it opens also while PostgreSQL is away.

    dsn: URL or key=value text of libpq. timeout: seconds to wait for a connection, and for
    each attempt to make one. statement_timeout: seconds.

    Raises:
        SettingsError: libpq does not understand the DSN.
    """
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        _conninfo(dsn, application_name, timeout, statement_timeout),
        kwargs={"autocommit": True},
        connection_class=_Listening,
        min_size=0,
        max_size=size,
        open=False,
        name=application_name,
        timeout=timeout,
        # Given up soon, so that the next question starts an attempt of its own at once rather
        # than wait for one that has backed off.
        reconnect_timeout=_RETRY_SECONDS,
    )
    await pool.open()
    return Pool(pool, timeout)


def _conninfo(dsn: str, application_name: str, timeout: float, statement_timeout: float) -> str:
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's message quotes the text, and with it the password.
        raise SettingsError("the database URL is not one that PostgreSQL's libpq reads") from None
    pinned = _PINNED | {"statement_timeout": str(round(statement_timeout * 1000))}
    options = " ".join(f"-c {name}={value}" for name, value in pinned.items())
    return make_conninfo(
        dsn,
        application_name=application_name,
        client_encoding="UTF8",
        connect_timeout=max(2, round(timeout)),
        options=f"{given.get('options') or ''} {options}".strip(),
    )


def _is_unreachable(error: psycopg.Error) -> bool:
    """Without an SQLSTATE the error is libpq's own: the connection failed."""
    sqlstate = error.sqlstate
    return sqlstate is None or sqlstate.startswith(_UNREACHABLE_CLASSES)


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or "the connection to PostgreSQL was lost"
