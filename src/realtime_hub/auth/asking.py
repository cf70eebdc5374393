"""Policies asked of PostgreSQL: the changed row's values, the role, its claims, and an answer.

Each question is a transaction of its own, read-only and short, and many go in one round trip.
One that raises or takes too long fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import psycopg
import structlog
from psycopg import sql

from realtime_hub.changes import Row, Table, Value
from realtime_hub.errors import DatabaseUnreachableError, UndecidedError
from realtime_hub.identity import Identity
from realtime_hub.postgres.pool import Connection, Pool

log = structlog.get_logger(__name__)

_BATCH: Final = 256
_RETRY_SECONDS: Final = 0.01
_RECONNECT_SECONDS: Final = 0.25

# Local to the transaction: nothing stays behind on the connection.
_BECOME: Final = """
select pg_catalog.set_config('transaction_read_only', 'on', true),
       pg_catalog.set_config('statement_timeout', $1, true),
       pg_catalog.set_config('request.jwt.claims', $2, true),
       pg_catalog.set_config('request.jwt.claim.sub', $3, true),
       pg_catalog.set_config('request.jwt.claim.role', $4, true),
       pg_catalog.set_config('role', $4, true)
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked about a row: SQL with parameters, the last of them the transaction's 32-bit
    id. It answers (whether the transaction is visible, the verdict)."""

    query: str
    parameters: tuple[Any, ...]
    xid: int


@dataclass(slots=True, eq=False)
class Question:
    """One probe under one identity. asked_at: `loop.time()` when its answer became due."""

    probe: Probe
    identity: Identity
    answer: asyncio.Future[bool]
    asked_at: float = field(default=0.0)


@dataclass(slots=True)
class AskingStatistics:
    """asked: questions sent. raised: those that a policy ended with an error or by taking too
    long. deferred: sent again, since the snapshot did not see the change yet."""

    asked: int = 0
    raised: int = 0
    deferred: int = 0


class Asker:
    """Asks about the rows of one table, in order, on at most one connection at a time.

    A policy that sleeps so holds back its own table alone. patience: seconds after which a
    question fails with UndecidedError, while PostgreSQL is away or behind.
    """

    def __init__(
        self,
        pool: Pool,
        statistics: AskingStatistics,
        *,
        table: str,
        statement_timeout: float,
        patience: float,
    ) -> None:
        self._pool = pool
        self._statistics = statistics
        self._table = table
        self._timeout = str(max(1, int(statement_timeout * 1000)))
        self._patience = patience
        self._waiting: deque[Question] = deque()
        self._task: asyncio.Task[None] | None = None
        self._complained: set[str | None] = set()

    def ask(self, probe: Probe, identity: Identity) -> asyncio.Future[bool]:
        """The probe's verdict; false if the policy raises. Fails with UndecidedError."""
        loop = asyncio.get_running_loop()
        question = Question(probe, identity, loop.create_future(), loop.time())
        self._waiting.append(question)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        return question.answer

    async def aclose(self) -> None:
        """Give up what waits; its futures fail."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        while self._waiting:
            _fail(self._waiting.popleft(), "the gateway stops")

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                left = await self._ask_batch(batch)
            except DatabaseUnreachableError as error:
                left = self._patient(batch, str(error))
                await asyncio.sleep(_RECONNECT_SECONDS)
            except asyncio.CancelledError:
                for question in batch:
                    _fail(question, "the gateway stops")
                raise
            if left:
                self._waiting.extendleft(reversed(left))

    async def _ask_batch(self, batch: list[Question]) -> list[Question]:
        """Answer what can be answered now; returns what must be asked again."""
        async with self._pool.connection() as conn:
            rows = await self._pipelined(conn, batch)
            for question, row in zip(batch, rows, strict=True):
                if row is None:
                    row = await self._alone(conn, question)
                self._take(question, row)
        left = self._patient([q for q in batch if not q.answer.done()], "the change is not visible")
        if left:
            self._statistics.deferred += len(left)
            await asyncio.sleep(_RETRY_SECONDS)
        return left

    def _take(self, question: Question, row: Sequence[Any]) -> None:
        visible, verdict = row
        if visible and not question.answer.done():
            question.answer.set_result(bool(verdict))

    async def _pipelined(self, conn: Connection, batch: list[Question]) -> list[Any]:
        """One round trip; None for a question that failed, or that a failure took along."""
        self._statistics.asked += len(batch)
        cursors: list[psycopg.AsyncCursor[Any]] = []
        # Errors belong to single questions, which are asked again alone.
        with suppress(psycopg.DatabaseError):
            async with conn.pipeline() as pipeline:
                for question in batch:
                    with suppress(psycopg.DatabaseError):
                        cursors.append(await self._send(conn, question))
                        await pipeline.sync()
        if conn.closed or conn.broken:
            raise DatabaseUnreachableError("the connection was lost while policies were asked")
        rows = [await _row(cursor) for cursor in cursors]
        return rows + [None] * (len(batch) - len(rows))

    async def _alone(self, conn: Connection, question: Question) -> Sequence[Any]:
        try:
            async with conn.transaction():
                cursor = await self._send(conn, question)
                return await cursor.fetchone() or (True, False)
        except psycopg.Error as error:
            if conn.closed or conn.broken:
                raise DatabaseUnreachableError("the connection was lost") from None
            self._complain(error, question)
            return True, False

    async def _send(self, conn: Connection, question: Question) -> psycopg.AsyncCursor[Any]:
        identity, probe = question.identity, question.probe
        subject = _claim_text(identity.claims, "sub")
        become = psycopg.AsyncRawCursor(conn)
        await become.execute(_BECOME, (self._timeout, identity.claims, subject, identity.role))
        cursor = psycopg.AsyncRawCursor(conn)
        return await cursor.execute(probe.query, (*probe.parameters, probe.xid))

    def _patient(self, questions: list[Question], reason: str) -> list[Question]:
        """Those that may still wait; the others fail."""
        due = asyncio.get_running_loop().time() - self._patience
        for question in questions:
            if question.asked_at < due:
                _fail(question, reason)
        return [question for question in questions if not question.answer.done()]

    def _complain(self, error: psycopg.Error, question: Question) -> None:
        """Count it, and log each kind of error once; the texts may hold row data."""
        self._statistics.raised += 1
        if error.sqlstate not in self._complained:
            self._complained.add(error.sqlstate)
            log.warning(
                "policy_raised",
                table=self._table,
                sqlstate=error.sqlstate,
                role=question.identity.role,
            )


async def _row(cursor: psycopg.AsyncCursor[Any]) -> Any:
    try:
        return await cursor.fetchone()
    except psycopg.Error:
        return None


def _fail(question: Question, reason: str) -> None:
    if not question.answer.done():
        question.answer.set_exception(UndecidedError(reason))


def _claim_text(claims: str, name: str) -> str:
    value = orjson.loads(claims).get(name)
    return value if isinstance(value, str) else ""


# The transaction's 32-bit id is completed from the snapshot's; a snapshot that does not see it
# yet must not judge it.
_VISIBLE: Final = """
from (
  select pg_catalog.pg_visible_in_snapshot(
    (case when near.xid > near.top + 2147483648 then near.xid - 4294967296 else near.xid end)
      ::pg_catalog.text::pg_catalog.xid8, near.now) as visible
  from (
    select now, top, (top >> 32 << 32) | ${number}::pg_catalog.int8 as xid
    from (select pg_catalog.pg_current_snapshot() as now,
                 pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
                   ::pg_catalog.text::pg_catalog.int8 as top) snapshot
  ) near
) moment
"""


def row_probe(table: Table, names: Sequence[str], row: Row, expression: str, xid: int) -> Probe:
    """Ask whether the expression holds on these values, whatever the table holds by now.

    The values stand in for a row of the table under its own name, so that column references
    and whole-row references mean them. names: the table's columns as they are now.
    """
    query = (  # names are quoted, and the expression is PostgreSQL's own text
        f"select moment.visible, case when moment.visible then (select ({expression}) from"
        f" pg_catalog.unnest(array[$1::{_quoted(table.schema, table.name)}])"
        f" as {_quoted(table.name)}) end {_VISIBLE.format(number=2)}"
    )
    values = [row[table.index[name]] if name in table.index else None for name in names]
    return Probe(query, (composite_text(values),), xid)


def key_probe(table: Table, row: Row, xid: int) -> Probe:
    """Ask whether the role sees the row with this key in the table."""
    key = [(table.columns[i], row[i]) for i in table.key]
    tests = [
        f"{_quoted(column.name)} = ${number}::{_type(table, column.type_oid)}"
        for number, (column, _) in enumerate(key, 1)
    ]
    query = (
        "select moment.visible, case when moment.visible then exists("
        f"select 1 from {_quoted(table.schema, table.name)} where {' and '.join(tests)}) end"
        f" {_VISIBLE.format(number=len(key) + 1)}"
    )
    values = tuple(v.decode() if isinstance(v, bytes) else None for _, v in key)
    return Probe(query, values, xid)


def composite_text(row: Sequence[Value]) -> str:
    """The row as PostgreSQL's composite literal (documentation, "Composite Type Input")."""
    parts = []
    for value in row:
        if isinstance(value, bytes):
            text = value.decode().replace("\\", "\\\\").replace('"', '""')
            parts.append(f'"{text}"')
        else:
            parts.append("")
    return f"({','.join(parts)})"


def _type(table: Table, oid: int) -> str:
    """A type without a modifier: `pg_catalog.bpchar` is not cut to one character."""
    known = table.types[oid]
    return _quoted(known.schema, known.name)


def _quoted(*names: str) -> str:
    return sql.Identifier(*names).as_string(None)
