"""PostgreSQL as the judge of filters: what a value means, and whether a row matches.

Implements `hub.ports.FilterOracle`. Values and names are parameters or quoted identifiers,
never text of a client's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg import sql

from realtime_hub.changes import Absent, PgType, Row, Table, TypeKind
from realtime_hub.errors import DatabaseUnreachableError, FilterValueError, UndecidedError
from realtime_hub.postgres.pool import Pool
from realtime_hub.wire.comparison import base_type
from realtime_hub.wire.filters import Condition, Operator

log = structlog.get_logger(__name__)

_OPERATORS: Final = {
    Operator.EQ: sql.SQL("="),
    Operator.NEQ: sql.SQL("<>"),
    Operator.LT: sql.SQL("<"),
    Operator.LTE: sql.SQL("<="),
    Operator.GT: sql.SQL(">"),
    Operator.GTE: sql.SQL(">="),
    Operator.IN: sql.SQL("="),
    Operator.LIKE: sql.SQL("~~"),
    Operator.ILIKE: sql.SQL("~~*"),
    Operator.MATCH: sql.SQL("~"),
    Operator.IMATCH: sql.SQL("~*"),
    Operator.ISDISTINCT: sql.SQL("is distinct from"),
}
_PATTERNS: Final = frozenset({Operator.LIKE, Operator.ILIKE, Operator.MATCH, Operator.IMATCH})
_REGULAR: Final = frozenset({Operator.MATCH, Operator.IMATCH})
_CACHED: Final = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    table: Table
    row: Row
    conditions: tuple[Condition, ...]
    answer: asyncio.Future[bool]


class PostgresFilterOracle:
    """Asks PostgreSQL about filters; questions of one loop turn go in one round trip.

    timeout: seconds for a round trip. Where a batch fails, each question is asked by itself,
    so that one that raises or takes too long harms no other. max_waiting: questions beyond it
    are not asked, and fail with UndecidedError.
    """

    def __init__(self, pool: Pool, *, timeout: float = 1.0, max_waiting: int = 10_000) -> None:
        self._pool = pool
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._canonical: OrderedDict[tuple[object, ...], Condition] = OrderedDict()
        self._waiting: list[_Question] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._outstanding = 0
        self._collations: WeakKeyDictionary[Table, dict[str, sql.Composable]] = WeakKeyDictionary()

    async def canonical(
        self, table: Table, conditions: Sequence[Condition]
    ) -> tuple[Condition, ...]:
        keys = [_cache_key(table, condition) for condition in conditions]
        missing = [c for c, key in zip(conditions, keys, strict=True) if key not in self._canonical]
        if missing:
            for condition, found in zip(missing, await self._check(table, missing), strict=True):
                self._canonical[_cache_key(table, condition)] = found
        while len(self._canonical) > _CACHED:
            self._canonical.popitem(last=False)
        return tuple(
            replace(condition, value=self._canonical[key].value)
            if key in self._canonical
            else condition
            for condition, key in zip(conditions, keys, strict=True)
        )

    def matches(
        self, table: Table, row: Row, conditions: Sequence[Condition]
    ) -> asyncio.Future[bool]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        if any(isinstance(row[table.index[c.column]], Absent) for c in conditions):
            answer.set_result(False)
        elif self._outstanding >= self._max_waiting:
            answer.set_exception(UndecidedError("too many filters wait for PostgreSQL"))
        else:
            if not self._waiting:
                loop.call_soon(self._ask_waiting)
            self._outstanding += 1
            self._waiting.append(_Question(table, row, tuple(conditions), answer))
        return answer

    async def aclose(self) -> None:
        """End what is still being asked; its answers fail."""
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    # Checking conditions

    async def _check(self, table: Table, conditions: Sequence[Condition]) -> list[Condition]:
        for condition in conditions:
            _check_shape(table, condition)
        columns: list[sql.Composable] = []
        parameters: list[str] = []
        for condition in conditions:
            kind = _type_name(table, condition.column)
            for value in _values(condition):
                columns.append(_probe(condition.operator, kind))
                parameters += [value, value, value]
        if not columns:
            return list(conditions)
        query = sql.SQL("select {}").format(sql.SQL(", ").join(columns))
        path = _search_path(table, conditions)
        try:
            async with self._pool.connection() as conn, conn.transaction():
                await _prepare(conn, path, self._timeout)
                cursor = await conn.execute(query, parameters)
                row = await cursor.fetchone()
        except psycopg.Error as error:
            raise _refusal(error, conditions) from None
        printed = iter(row or ())
        return [_rewritten(condition, printed) for condition in conditions]

    # Asking about rows

    def _ask_waiting(self) -> None:
        questions, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._answer(questions))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer(self, questions: list[_Question]) -> None:
        try:
            await self._ask_each_or_all(questions)
        finally:
            self._outstanding -= len(questions)
            for question in questions:
                if not question.answer.done():
                    question.answer.set_exception(UndecidedError("the question was given up"))

    async def _ask_each_or_all(self, questions: list[_Question]) -> None:
        try:
            answers = await self._ask(questions)
        except DatabaseUnreachableError as error:
            _fail(questions, str(error))
        except psycopg.Error as error:
            if len(questions) > 1:
                for question in questions:
                    await self._ask_each_or_all([question])
                return
            log.warning(
                "filter_undecided",
                table=str(questions[0].table.full_name),
                sqlstate=error.sqlstate,
            )
            _fail(questions, f"PostgreSQL could not decide a filter ({error.sqlstate})")
        else:
            for question, answer in zip(questions, answers, strict=True):
                if not question.answer.done():
                    question.answer.set_result(answer)

    async def _ask(self, questions: list[_Question]) -> list[bool]:
        schemas: dict[str, None] = {}
        async with self._pool.connection() as conn, conn.transaction():
            parameters: list[str | None] = []
            expressions = []
            for question in questions:
                schemas |= dict.fromkeys(_search_path(question.table, question.conditions))
                await self._learn_collations(conn, question)
                expressions.append(self._expression(question, parameters))
            await _prepare(conn, list(schemas), self._timeout)
            query = sql.SQL("select {}").format(sql.SQL(", ").join(expressions))
            row = await (await conn.execute(query, parameters)).fetchone()
        return [bool(answer) for answer in row or ()]

    def _expression(self, question: _Question, parameters: list[str | None]) -> sql.Composable:
        tests = [self._test(question, condition, parameters) for condition in question.conditions]
        return sql.SQL("coalesce({}, false)").format(sql.SQL(" and ").join(tests))

    def _test(
        self, question: _Question, condition: Condition, parameters: list[str | None]
    ) -> sql.Composable:
        table = question.table
        kind = _type_name(table, condition.column)
        value = question.row[table.index[condition.column]]
        text = value.decode() if isinstance(value, bytes) else None
        collation = self._collations[table][condition.column]
        tests = []
        for wanted in _values(condition):
            wanted_type = sql.SQL("pg_catalog.text") if condition.operator in _PATTERNS else kind
            tests.append(
                sql.SQL("(%s::pg_catalog.text::{kind}){collation} {op} %s::pg_catalog.text::{wanted}")
                .format(kind=kind, collation=collation, op=_OPERATORS[condition.operator], wanted=wanted_type)
            )
            parameters += [text, wanted]
        test = sql.SQL("({})").format(sql.SQL(" or ").join(tests)) if tests else sql.SQL("false")
        return sql.SQL("not {}").format(test) if condition.negated else test

    async def _learn_collations(
        self, conn: psycopg.AsyncConnection[tuple[object, ...]], question: _Question
    ) -> None:
        table = question.table
        names = {c.column for c in question.conditions}
        known = self._collations.setdefault(table, {})
        unknown = [name for name in names if name not in known]
        if not unknown:
            return
        cursor = await conn.execute(
            """
            select a.attname, n.nspname, c.collname
            from pg_catalog.pg_attribute a
            left join pg_catalog.pg_collation c on c.oid = a.attcollation and c.collname <> 'default'
            left join pg_catalog.pg_namespace n on n.oid = c.collnamespace
            where a.attrelid = %s and a.attname = any(%s)
            """,
            (table.oid, unknown),
        )
        found = {str(name): (schema, collation) for name, schema, collation in await cursor.fetchall()}
        for name in unknown:
            schema, collation = found.get(name, (None, None))
            known[name] = (
                sql.SQL(" collate {}").format(sql.Identifier(str(schema), str(collation)))
                if collation
                else sql.SQL("")
            )


def _cache_key(table: Table, condition: Condition) -> tuple[object, ...]:
    column = table.columns[table.index[condition.column]]
    return column.type_oid, table.types.get(column.type_oid), condition.operator, condition.value


def _values(condition: Condition) -> tuple[str, ...]:
    if condition.operator is Operator.IS:
        return ()
    value = condition.value
    return value if isinstance(value, tuple) else (value,)


def _check_shape(table: Table, condition: Condition) -> None:
    """Refuse what the column's type alone rules out."""
    column = table.columns[table.index[condition.column]]
    kind = base_type(table.types, column.type_oid)
    shown = _SPELLED.get(column.type_name, column.type_name)
    if condition.operator is Operator.IS and condition.value not in ("null",):
        if kind is None or kind.oid != _BOOL:
            raise FilterValueError(
                f"is {condition.value} filter requires a boolean column, got {shown}"
            )
    if condition.operator in _PATTERNS and (kind is None or kind.category != "S"):
        raise FilterValueError(
            f"operator {condition.operator} requires a text-compatible column type, got {shown}"
        )


def _probe(operator: Operator, kind: sql.Composable) -> sql.Composable:
    """An expression that prints a value as its type does, and raises if the operator or the
    value does not fit. `format` uses the type's output function, as replication does."""
    if operator in _PATTERNS:
        tried = sql.SQL("'' {} %s::pg_catalog.text") if operator in _REGULAR else sql.SQL("%s is null")
        checked = tried.format(_OPERATORS[operator]) if operator in _REGULAR else tried
        return sql.SQL("case when ({}) is null then %s else %s end").format(checked)
    value = sql.SQL("%s::pg_catalog.text::{}").format(kind)
    return sql.SQL("case when ({v} {op} {v}) is null then '' else pg_catalog.format('%%s', {v}) end").format(
        v=value, op=_OPERATORS[operator]
    )


def _rewritten(condition: Condition, printed: object) -> Condition:
    texts = [str(next(printed)) for _ in _values(condition)]  # type: ignore[call-overload]
    if condition.operator is Operator.IS:
        return condition
    if isinstance(condition.value, tuple):
        return replace(condition, value=tuple(texts))
    return replace(condition, value=texts[0])


def _refusal(error: psycopg.Error, conditions: Sequence[Condition]) -> Exception:
    reason = error.diag.message_primary
    if reason is None:
        return DatabaseUnreachableError("the connection was lost while a filter was checked")
    regular = next((c.operator for c in conditions if c.operator in _REGULAR), None)
    if isinstance(error, psycopg.errors.InvalidRegularExpression) and regular is not None:
        return FilterValueError(f"invalid regular expression for {regular} filter: {reason}")
    return FilterValueError(reason)


def _fail(questions: Sequence[_Question], reason: str) -> None:
    for question in questions:
        if not question.answer.done():
            question.answer.set_exception(UndecidedError(reason))


async def _prepare(
    conn: psycopg.AsyncConnection[tuple[object, ...]], path: Sequence[str], timeout: float
) -> None:
    await conn.execute(
        "select pg_catalog.set_config('search_path', %s, true),"
        " pg_catalog.set_config('statement_timeout', %s, true)",
        (", ".join('"' + name.replace('"', '""') + '"' for name in path), str(int(timeout * 1000))),
    )


def _type_name(table: Table, column: str) -> sql.Composable:
    """The type without a modifier, quoted: `pg_catalog."bpchar"` is not cut to one character."""
    oid = table.columns[table.index[column]].type_oid
    found = table.types.get(oid)
    if found is None:
        return sql.SQL("pg_catalog.text")
    return sql.Identifier(found.schema, found.name)


def _search_path(table: Table, conditions: Sequence[Condition]) -> list[str]:
    """Where the operators of extension types live; those of all other types are built in."""
    schemas: dict[str, None] = {}
    for condition in conditions:
        for kind in _made_of(table, table.columns[table.index[condition.column]].type_oid):
            if kind.kind is TypeKind.BASE and kind.schema != "pg_catalog":
                schemas[kind.schema] = None
    return list(schemas)


def _made_of(table: Table, oid: int) -> list[PgType]:
    found: dict[int, PgType] = {}
    open_oids = [oid]
    while open_oids:
        kind = table.types.get(open_oids.pop())
        if kind is not None and kind.oid not in found:
            found[kind.oid] = kind
            open_oids += [kind.element, kind.base, *(o for _, o in kind.attributes)]
    return list(found.values())


_BOOL: Final = 16
_SPELLED: Final = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "bpchar": "character",
    "varchar": "character varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
}
"""How PostgreSQL's messages name types, where that differs from the type's own name."""
