"""The rows that somebody may see, in one snapshot whose place in the stream is known.

All pages come from one REPEATABLE READ transaction, under the role and the claims of whoever
asks. A commit that the snapshot sees was written to the WAL before the snapshot was taken, so
nothing behind the WAL's end of that moment is in it; before that, the snapshot itself tells by
transaction id. Documentation: "System Information Functions", pg_current_snapshot().
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson
import psycopg
from psycopg import sql

from realtime_hub.changes import UNKNOWN, Row, Table
from realtime_hub.errors import DatabaseUnreachableError, SnapshotError
from realtime_hub.identity import Identity
from realtime_hub.lsn import parse_lsn
from realtime_hub.postgres.comparing import Facts, FactsCache
from realtime_hub.postgres.pool import Connection, Pool
from realtime_hub.wire.filters import Condition, Operator

_PAGE_ROWS: Final = 200
_XID_BITS: Final = 32
_BEGIN: Final = "begin isolation level repeatable read, read only"
_TAKE: Final = (
    "select pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_current_wal_insert_lsn()"
)
_NEWEST: Final = (
    "select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint"
)
_SETTINGS: Final = """
select pg_catalog.set_config('search_path', %s, true),
       pg_catalog.set_config('statement_timeout', %s, true),
       pg_catalog.set_config('lock_timeout', '1s', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '30s', true),
       pg_catalog.set_config('request.jwt.claims', %s, true),
       pg_catalog.set_config('request.jwt.claim.sub', %s, true),
       pg_catalog.set_config('request.jwt.claim.role', %s, true),
       pg_catalog.set_config('row_security', 'on', true)
"""
_ROLE: Final = "select pg_catalog.set_config('role', %s, true)"
_AS_ITSELF: Final = """
select pg_catalog.set_config('statement_timeout', %s, true),
       pg_catalog.set_config('lock_timeout', '1s', true),
       pg_catalog.set_config('row_security', 'off', true)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """Which transactions a snapshot sees.

    xmin, xmax: transaction ids of 64 bits; below xmin all are over, from xmax on none is seen.
    running: those between that are not seen. end: commits at this LSN or behind are not seen.
    """

    xmin: int
    xmax: int
    running: frozenset[int]
    end: int

    @classmethod
    def parse(cls, snapshot: str, end: str) -> Seen:
        """Read `xmin:xmax:xip,...`, and an LSN."""
        xmin, xmax, running = snapshot.split(":")
        xids = frozenset(int(xid) for xid in running.split(",") if xid)
        return cls(int(xmin), int(xmax), xids, parse_lsn(end))

    def sees(self, xid: int) -> bool:
        """Whether a transaction that has committed is in the snapshot; `xid` has 32 bits.

        It is taken for the one nearest to xmax: half of all ids are never alive at once.
        """
        half = 1 << (_XID_BITS - 1)
        full = self.xmax + ((xid - self.xmax + half) % (1 << _XID_BITS)) - half
        return full < self.xmax and full not in self.running

    @property
    def undecided(self) -> frozenset[int]:
        """The running transactions by their 32 bits: some may stand in the WAL already."""
        return frozenset(xid % (1 << _XID_BITS) for xid in self.running)


class PostgresSnapshot:
    """One open snapshot; made by `PostgresSnapshots.open`."""

    def __init__(
        self, conn: Connection, facts: FactsCache, identity: Identity | None, seen: Seen
    ) -> None:
        self._conn = conn
        self._facts = facts
        self._identity = identity
        self.seen = seen

    async def pages(
        self, table: Table, columns: Collection[int], conditions: Sequence[Condition]
    ) -> AsyncIterator[list[Row]]:
        """The rows of a table, with these columns and the others UNKNOWN.

        conditions: only narrow what is read where that is certain; the caller checks all.

        Raises:
            SnapshotError: PostgreSQL refuses, in its words.
            DatabaseUnreachableError: the connection is lost.
        """
        shown = sorted(columns)
        try:
            await self._declare(table, shown, conditions)
            while True:
                cursor = await self._conn.execute(f"fetch {_PAGE_ROWS} from page")
                rows = _rows(cursor, len(table.columns), shown)
                if rows:
                    yield rows
                if len(rows) < _PAGE_ROWS:
                    break
            await self._conn.execute("close page")
        except psycopg.OperationalError:
            raise  # the pool knows what it means
        except psycopg.Error as error:
            raise SnapshotError(error.diag.message_primary or str(error)) from error

    async def _declare(
        self, table: Table, shown: Sequence[int], conditions: Sequence[Condition]
    ) -> None:
        exact = [c for c in conditions if c.operator is Operator.EQ and not c.negated]
        facts = await self._facts.of(self._conn, table, {c.column for c in exact})
        narrowing = [_equality(c, facts[c.column]) for c in exact if _certain(facts[c.column])]
        names = [sql.Identifier(table.columns[index].name) for index in shown]
        if self._identity is not None:
            await self._conn.execute(_ROLE, (self._identity.role,))
        await self._conn.execute(
            sql.SQL("declare page no scroll cursor for select {} from {} where {}").format(
                sql.SQL(", ").join(names),
                sql.Identifier(table.schema, table.name),
                sql.SQL(" and ").join([sql.SQL("true"), *narrowing]),
            )
        )


class PostgresSnapshots:
    """Opens snapshots; implements `hub.ports.Snapshots`.

    statement_timeout: seconds for one page. most: how many are open at once; others wait.
    search_path: where functions that policies call look for names.
    """

    def __init__(
        self, pool: Pool, *, search_path: str, statement_timeout: float = 10.0, most: int = 2
    ) -> None:
        self._pool = pool
        self._search_path = search_path
        self._timeout = statement_timeout
        self._turns = asyncio.Semaphore(most)
        self._facts = FactsCache()

    @asynccontextmanager
    async def open(self, identity: Identity | None) -> AsyncIterator[PostgresSnapshot]:
        """A snapshot under this identity, for the time of the block; None for the connection's
        own role, where PostgreSQL refuses a table rather than leave rows out.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost.
            SnapshotError: PostgreSQL refuses, in its words.
        """
        async with self._turns, self._pool.connection() as conn:
            await conn.execute(_BEGIN)
            try:
                seen = await self._take(conn, identity)
                yield PostgresSnapshot(conn, self._facts, identity, seen)
            finally:
                await _roll_back(conn)

    async def newest_xid(self) -> int:
        """The id, by its 32 bits, that no transaction which has begun is beyond.

        Raises DatabaseUnreachableError.
        """
        async with self._pool.connection() as conn:
            row = await (await conn.execute(_NEWEST)).fetchone()
        if row is None:
            raise DatabaseUnreachableError("the server told no snapshot")
        return (int(row[0]) - 1) % (1 << _XID_BITS)

    async def _take(self, conn: Connection, identity: Identity | None) -> Seen:
        timeout = f"{self._timeout * 1000:.0f}"
        try:
            taken = await (await conn.execute(_TAKE)).fetchone()
            if taken is None:
                raise DatabaseUnreachableError("the server told no snapshot")
            if identity is None:
                await conn.execute(_AS_ITSELF, (timeout,))
            else:
                claims = _claim(identity, "sub"), _claim(identity, "role")
                settings = (self._search_path, timeout, identity.claims, *claims)
                await conn.execute(_SETTINGS, settings)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise SnapshotError(error.diag.message_primary or str(error)) from error
        return Seen.parse(taken[0], taken[1])


async def _roll_back(conn: Connection) -> None:
    """Leave the transaction, and with it the role; a lost connection is the pool's to notice."""
    if not conn.closed:
        await conn.rollback()


def _rows(
    cursor: psycopg.AsyncCursor[tuple[object, ...]], width: int, shown: Sequence[int]
) -> list[Row]:
    """The page's values as the server printed them, in the table's order."""
    result = cursor.pgresult
    if result is None:
        return []
    rows = []
    for number in range(result.ntuples):
        row: list[object] = [UNKNOWN] * width
        for place, index in enumerate(shown):
            row[index] = result.get_value(number, place)
        rows.append(tuple(row))
    return rows  # type: ignore[return-value]


def _certain(facts: Facts) -> bool:
    """Whether `=` is found wherever policies look for names."""
    return facts.base.schema == "pg_catalog"


def _equality(condition: Condition, facts: Facts) -> sql.Composed:
    collation: sql.Composable = sql.SQL("")
    if facts.collation is not None:
        collation = sql.SQL(" collate {}").format(sql.Identifier(*facts.collation))
    return sql.SQL("({column}::{base}{collation}) = ({value}::{base})").format(
        column=sql.Identifier(condition.column),
        base=sql.Identifier(*facts.base),
        collation=collation,
        value=sql.Literal(condition.value),
    )


def _claim(identity: Identity, name: str) -> str:
    value = orjson.loads(identity.claims).get(name)
    return value if isinstance(value, str) else ""
