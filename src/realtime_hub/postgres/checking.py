"""Whether a filter's operators and values fit their columns, in PostgreSQL's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import psycopg

from realtime_hub.errors import FilterValueError
from realtime_hub.postgres.comparing import PATTERNS, Facts, checking_query, prepare
from realtime_hub.postgres.pool import Connection
from realtime_hub.wire.filters import Condition, Operator

Printed: TypeAlias = str | tuple[str, ...]
"""A condition's value in the form that its column's type prints."""

_LIKE: Final = frozenset({Operator.LIKE, Operator.ILIKE})
_BOOL: Final = ("pg_catalog", "bool")
_MAX_REASON: Final = 500

_TIMES: Final = frozenset({"date", "time", "timetz", "timestamp", "timestamptz"})
_relative: Final = re.compile(r"now|today|tomorrow|yesterday", re.IGNORECASE).search

_TYPE_NAME: Final = """
select pg_catalog.format_type(t.oid, null) from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where n.nspname = %s and t.typname = %s
"""


async def print_values(
    conn: Connection,
    facts: Mapping[str, Facts],
    conditions: Sequence[Condition],
    *,
    timeout: float,
) -> list[Printed]:
    """The conditions' values as their columns print them.

    facts: by column name. timeout: seconds for one condition.

    Raises:
        FilterValueError: of the first condition that does not fit its column.
        psycopg.Error: the connection was lost.
    """
    for condition in conditions:
        await _check_shape(conn, facts[condition.column], condition)
    try:
        return await _print_together(conn, facts, conditions, timeout)
    except psycopg.Error as error:
        if conn.closed:
            raise
        if len(conditions) == 1:
            [condition] = conditions
            found = facts[condition.column]
            raise await _refusal(conn, found, condition, error) from None
    # Together they do not tell which of them is to blame.
    printed: list[Printed] = []
    for condition in conditions:
        printed += await print_values(conn, facts, [condition], timeout=timeout)
    return printed


async def _print_together(
    conn: Connection,
    facts: Mapping[str, Facts],
    conditions: Sequence[Condition],
    timeout: float,
) -> list[Printed]:
    cursors = []
    async with conn.pipeline(), conn.transaction():
        await prepare(conn, [facts[c.column] for c in conditions], timeout)
        for condition in conditions:
            if condition.operator is not Operator.IS and condition.value != ():
                value = condition.value
                texts = [value] if isinstance(value, str) else list(value)
                query = checking_query(facts[condition.column], condition.operator)
                cursors.append((condition, await conn.execute(query, (texts,))))
        rows = {condition: await cursor.fetchone() for condition, cursor in cursors}
    return [_printed(facts[c.column], c, rows.get(c)) for c in conditions]


def _printed(facts: Facts, condition: Condition, row: Sequence[list[str]] | None) -> Printed:
    value = condition.value
    if row is None:
        return value
    given = (value,) if isinstance(value, str) else value
    texts = tuple(
        # What `today` means changes with time, so it stays and is asked about.
        old if facts.base.name in _TIMES and _relative(old) else new
        for old, new in zip(given, row[0], strict=True)
    )
    return texts[0] if isinstance(value, str) else texts


async def _check_shape(conn: Connection, facts: Facts, condition: Condition) -> None:
    """Refuse what needs no look at the value."""
    operator, value = condition.operator, condition.value
    if operator is Operator.IS and value != "null" and facts.base != _BOOL:
        shown = await _type_name(conn, facts)
        raise FilterValueError(f"is {value} filter requires a boolean column, got {shown}")
    if operator in _LIKE and isinstance(value, str):
        escapes = len(value) - len(value.rstrip("\\"))
        if escapes % 2:  # PostgreSQL notices only with a row that comes so far
            raise FilterValueError("LIKE pattern must not end with escape character")


async def _refusal(
    conn: Connection, facts: Facts, condition: Condition, error: psycopg.Error
) -> FilterValueError:
    operator = condition.operator
    reason = (error.diag.message_primary or str(error))[:_MAX_REASON]
    if isinstance(error, psycopg.errors.InvalidRegularExpression):
        reason = f"invalid regular expression for {operator} filter: {reason}"
    elif isinstance(error, psycopg.errors.UndefinedFunction) and operator in PATTERNS:
        shown = await _type_name(conn, facts)
        reason = f"operator {operator} requires a text-compatible column type, got {shown}"
    elif isinstance(error, psycopg.errors.QueryCanceled):
        reason = f"the value of the {operator} filter takes too long to check"
    return FilterValueError(reason)


async def _type_name(conn: Connection, facts: Facts) -> str:
    async with conn.transaction():
        await prepare(conn, [facts], 0)  # for the path: a visible type is named without its schema
        cursor = await conn.execute(_TYPE_NAME, facts.declared)
        row = await cursor.fetchone()
    return facts.declared.name if row is None else str(row[0])
