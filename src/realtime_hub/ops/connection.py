"""One connection for one look at a database; what goes wrong is a typed error."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from realtime_hub.changes import TableName
from realtime_hub.errors import (
    DatabaseUnreachableError,
    NotFitError,
    RealtimeHubError,
    SettingsError,
    SourceError,
)

MINIMUM_VERSION: Final = 15
"""Column lists and row filters of publications, and the catalog's view of them, came with 15."""

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.AsyncConnection[Row]

_NETWORK: Final[dict[str, Any]] = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""How long a network may be silent, unless the DSN says otherwise: seconds, milliseconds."""
_PIN: Final = (
    "set search_path = ''; set statement_timeout = '30s'; set lock_timeout = '5s';"
    " set timezone = 'UTC'"
)


@asynccontextmanager
async def connected(dsn: str, *, read_only: bool = True) -> AsyncIterator[Connection]:
    """A connection in autocommit with an empty search_path and short time-outs.

    Raises:
        SettingsError: libpq does not understand the DSN.
        DatabaseUnreachableError: it does not answer, refuses us, or is lost on the way.
        NotFitError: the server is too old, or we lack a right.
        SourceError: PostgreSQL refused a statement for another reason.
    """
    try:
        parameters = _NETWORK | conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's own message quotes the text, and with it the password.
        raise SettingsError("the database URL is not one that PostgreSQL's libpq reads") from None
    try:
        conn = await psycopg.AsyncConnection.connect(
            **parameters, autocommit=True, row_factory=dict_row
        )
        async with conn:
            _require_version(conn)
            await conn.execute(_PIN)
            if read_only:
                await conn.execute("set default_transaction_read_only = on")
            yield conn
    except RealtimeHubError:
        raise
    except (psycopg.Error, socket.gaierror) as error:
        raise translated(error) from None


def translated(error: Exception) -> SourceError:
    """A driver's error as one of ours, with the server's own first line."""
    diagnosis = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    reason = diagnosis or str(error).strip().partition("\n")[0] or "PostgreSQL does not answer"
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return NotFitError(reason, "Connect as the owner, or grant what is missing")
        case psycopg.errors.LockNotAvailable():
            return SourceError(f"somebody else holds a lock for too long ({reason})")
        case psycopg.OperationalError() | psycopg.InterfaceError() | socket.gaierror():
            return DatabaseUnreachableError(reason)
    return SourceError(f"PostgreSQL refused: {reason}")


async def rows(conn: Connection, query: str, *parameters: object) -> list[Row]:
    """All rows of a query that is the package's own text; values go in as parameters."""
    return await (await conn.execute(query.encode(), parameters or None)).fetchall()


def quoted(name: TableName) -> str:
    """The table's name as SQL has it."""
    return sql.Identifier(name.schema, name.name).as_string(None)


def identifier(name: str) -> str:
    """A name as SQL has it."""
    return sql.Identifier(name).as_string(None)


def literal(text: str) -> str:
    """Text as an SQL literal."""
    return sql.Literal(text).as_string(None)


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _require_version(conn: Connection) -> None:
    version = conn.info.server_version // 10_000
    if version < MINIMUM_VERSION:
        raise NotFitError(
            f"PostgreSQL {version} is too old",
            f"Upgrade to PostgreSQL {MINIMUM_VERSION} or later",
        )
