"""A database whose policies are judged here and by PostgreSQL itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from realtime_hub.auth.asking import SEARCH_PATH
from realtime_hub.auth.authorizer import PostgresAuthorizer
from realtime_hub.changes import UNKNOWN, Change, Kind, Row, Table, TableName
from realtime_hub.hub.ports import Verdict
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.postgres.catalog import PostgresCatalog
from realtime_hub.postgres.pool import Pool, open_pool

ANA = "11111111-1111-4111-8111-111111111111"
BETO = "22222222-2222-4222-8222-222222222222"
PUBLICATION = "p"

_PINNED = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex"


def identity(sub: str | None = None, role: str = "authenticated", **claims: Any) -> Identity:
    """As a token would make it."""
    payload: dict[str, Any] = {"role": role} | ({} if sub is None else {"sub": sub}) | claims
    return Identity(role, json.dumps(payload), sub or "")


@dataclass
class Bench:
    """`run` writes, `judge` is ours, `sees` is PostgreSQL's."""

    dsn: str
    conn: psycopg.Connection[Any]
    pool: Pool
    authorizer: PostgresAuthorizer

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.conn.execute(statement.encode())

    async def table(self, name: str) -> Table:
        """The table as it is now, its rights read."""
        catalog = PostgresCatalog(self.pool, PUBLICATION)
        table = await catalog.published(TableName("public", name))
        await self.authorizer.table_changed(table)
        return table

    async def admit(self, table: Table, *identities: Identity) -> None:
        for one in identities:
            await self.authorizer.admit(one, table)

    def row(self, table: Table, where: str) -> Row:
        """The row as the stream would carry it; columns that it does not carry are UNKNOWN."""
        found = self.conn.execute(f"select * from public.{table.name} where {where}".encode())
        result = found.pgresult
        assert result is not None
        assert result.ntuples == 1
        names = [result.fname(i).decode() for i in range(result.nfields)]  # type: ignore[union-attr]
        values = {name: result.get_value(0, i) for i, name in enumerate(names)}
        return tuple(values.get(column.name, UNKNOWN) for column in table.columns)

    def write(self, table: Table, statement: str, where: str) -> Change:
        """Run an INSERT or UPDATE; the change as it comes from the stream."""
        with self.conn.transaction():
            self.conn.execute(statement.encode())
            xid = self.xid()
        return self.change(table, self.row(table, where), xid=xid)

    def xid(self) -> int:
        row = self.conn.execute("select pg_current_xact_id()::text::int8 & 4294967295").fetchone()
        assert row is not None
        return int(row[0])

    def change(
        self,
        table: Table,
        new: Row | None,
        *,
        old: Row | None = None,
        kind: Kind = Kind.INSERT,
        xid: int = 3,
    ) -> Change:
        return Change(Position(0, 1, 0), kind, table, 0, xid, new, old)

    async def judge(self, change: Change, *identities: Identity) -> list[Verdict]:
        """Verdicts in the order of the identities."""
        found = self.authorizer.judge(change, identities)
        return [
            await judgement if isinstance(judgement, asyncio.Future) else judgement
            for judgement in (found[one] for one in identities)
        ]

    async def shown(self, change: Change, *identities: Identity) -> list[bool]:
        return [v is not Verdict.WITHHELD for v in await self.judge(change, *identities)]

    def sees(self, table: Table, where: str, *identities: Identity) -> list[bool]:
        """Whether each identity's own SELECT finds the row; an error is a no."""
        return [self._sees(table, where, one) for one in identities]

    def _sees(self, table: Table, where: str, who: Identity) -> bool:
        # psycopg rolls back, and with it all that is set here.
        with psycopg.connect(make_conninfo(self.dsn, options=_PINNED)) as conn:
            try:
                conn.execute(
                    "select set_config('search_path', %s, true),"
                    " set_config('request.jwt.claims', %s, true), set_config('role', %s, true),"
                    " set_config('statement_timeout', '1s', true)",
                    (SEARCH_PATH, who.claims, who.role),
                )
                found = conn.execute(f"select 1 from public.{table.name} where {where}".encode())
                return found.fetchone() is not None
            except psycopg.Error:
                return False
            finally:
                conn.rollback()


@asynccontextmanager
async def bench(dsn: str, *setup: str, **options: Any) -> AsyncIterator[Bench]:
    """Publish all tables that the setup makes."""
    pool = await open_pool(dsn, size=6, application_name="authorization")
    with psycopg.connect(make_conninfo(dsn, options=_PINNED), autocommit=True) as conn:
        authorizer = PostgresAuthorizer(pool, **options)
        try:
            made = Bench(dsn, conn, pool, authorizer)
            made.run(*setup, f"create publication {PUBLICATION} for all tables")
            yield made
        finally:
            await authorizer.aclose()
            await pool.aclose()


def visible_to(verdicts: Iterable[Verdict]) -> list[bool]:
    return [verdict is not Verdict.WITHHELD for verdict in verdicts]
