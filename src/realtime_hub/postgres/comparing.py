"""SQL that compares the text of column values, many comparisons in one statement.

Types, collations and operators are written as identifiers; all text is a parameter. Each
distinct value of a column is read once per statement, however many filters it is held against.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from realtime_hub.changes import Table
from realtime_hub.postgres.pool import Connection
from realtime_hub.wire.filters import Operator

PATTERNS: Final = frozenset({Operator.LIKE, Operator.ILIKE, Operator.MATCH, Operator.IMATCH})
REGULAR: Final = frozenset({Operator.MATCH, Operator.IMATCH})

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
_BYTEA: Final = ("pg_catalog", "bytea")

_SETTINGS: Final = """
select pg_catalog.set_config('search_path', %s, true),
       pg_catalog.set_config('statement_timeout', %s, true)
"""


class Name(NamedTuple):
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What SQL needs to know of a column.

    declared: its type, perhaps a domain; base: the type that operators work on. collation:
    None for the database's own.
    """

    declared: Name
    base: Name
    collation: Name | None


class Comparison(NamedTuple):
    """A value of a column held against one text of a condition."""

    facts: Facts
    operator: Operator
    value: str | None
    wanted: str


class FactsCache:
    """Facts of the columns of the latest Tables, each asked for once."""

    def __init__(self, size: int = 1_024) -> None:
        self._size = size
        self._tables: OrderedDict[Table, dict[str, Facts]] = OrderedDict()

    async def of(self, conn: Connection, table: Table, names: Collection[str]) -> dict[str, Facts]:
        """Facts by column name, of these columns and perhaps others.

        Raises:
            psycopg.errors.UndefinedObject: a column's type is gone.
        """
        known = self._tables.setdefault(table, {})
        self._tables.move_to_end(table)
        unknown = [name for name in names if name not in known]
        if unknown:
            known |= await _read_facts(conn, table, unknown)
        while len(self._tables) > self._size:
            self._tables.popitem(last=False)
        return known


async def _read_facts(conn: Connection, table: Table, names: Sequence[str]) -> dict[str, Facts]:
    oids = [table.columns[table.index[name]].type_oid for name in names]
    cursor = await conn.execute(_FACTS, (names, oids, table.oid))
    found = {
        name: Facts(Name(*declared), Name(*base), Name(*collation) if collation[0] else None)
        for name, declared, base, collation in await cursor.fetchall()
    }
    if len(found) < len(names):
        raise psycopg.errors.UndefinedObject("the type of a column is gone")
    return found


# A domain may stand on domains. The type is the row's; the collation is the column's of now.
_FACTS: Final = """
select w.name, array[dn.nspname, d.typname]::text[], array[bn.nspname, b.typname]::text[],
       array[cn.nspname, c.collname]::text[]
from unnest(%s::text[], %s::pg_catalog.oid[]) as w(name, oid)
join pg_catalog.pg_type d on d.oid = w.oid
join pg_catalog.pg_namespace dn on dn.oid = d.typnamespace
cross join lateral (
  with recursive chain as (
    select d.oid, d.typbasetype as next, 0 as depth
    union all
    select t.oid, t.typbasetype, chain.depth + 1
    from chain join pg_catalog.pg_type t on t.oid = chain.next
  )
  select chain.oid from chain order by chain.depth desc limit 1
) as last
join pg_catalog.pg_type b on b.oid = last.oid
join pg_catalog.pg_namespace bn on bn.oid = b.typnamespace
left join pg_catalog.pg_attribute a
  on a.attrelid = %s and a.attname = w.name and not a.attisdropped
left join pg_catalog.pg_collation c on c.oid = a.attcollation and c.collname <> 'default'
left join pg_catalog.pg_namespace cn on cn.oid = c.collnamespace
"""


def comparing_query(
    comparisons: Sequence[Comparison],
) -> tuple[sql.Composed, list[object], list[int]]:
    """One statement with an array of answers per kind of comparison, and its parameters.

    The third part puts the answers, laid end to end, into the order of the comparisons: the
    n-th comparison's answer stands at the n-th of these places.
    """
    kinds: dict[tuple[Facts, Operator], list[int]] = {}
    for number, comparison in enumerate(comparisons):
        kinds.setdefault((comparison.facts, comparison.operator), []).append(number)
    columns: list[sql.Composed] = []
    parameters: list[object] = []
    places = [0] * len(comparisons)
    place = 0
    for (facts, operator), numbers in kinds.items():
        values: dict[str | None, int] = {}
        for number in numbers:
            values.setdefault(comparisons[number].value, len(values) + 1)
            places[number] = place
            place += 1
        columns.append(_answers(facts, operator))
        parameters += [
            list(values),
            [values[comparisons[number].value] for number in numbers],
            [comparisons[number].wanted for number in numbers],
        ]
    return sql.SQL("select {}").format(sql.SQL(", ").join(columns)), parameters, places


def _answers(facts: Facts, operator: Operator) -> sql.Composed:
    # Materialised, so that a value is read once and not for each text it is held against.
    return sql.SQL(
        "(with r as materialized ("
        "select q.n, q.t::{base} as v from unnest(%s::text[]) with ordinality as q(t, n)) "
        "select pg_catalog.array_agg((r.v{collation}) {operator} (w.t::{wanted}) order by w.n) "
        "from unnest(%s::int[], %s::text[]) with ordinality as w(i, t, n) join r on r.n = w.i)"
    ).format(
        base=sql.Identifier(*facts.base),
        collation=_collation(facts),
        operator=_OPERATORS[operator],
        wanted=_wanted_type(facts, operator),
    )


def checking_query(facts: Facts, operator: Operator) -> sql.Composed:
    """Prints texts, given as an array, as the column's type does.

    It raises where the operator or one of the texts does not fit the column. Patterns are
    printed as they are.
    """
    if operator in PATTERNS:
        return sql.SQL(
            "select pg_catalog.array_agg(w.t), "
            "pg_catalog.bool_or((''::text::{base}{collation}) {operator} (w.t::{wanted})) "
            "from unnest(%s::text[]) as w(t)"
        ).format(
            base=sql.Identifier(*facts.base),
            collation=_collation(facts),
            operator=_OPERATORS[operator],
            wanted=_wanted_type(facts, operator),
        )
    return sql.SQL(
        "with w as materialized ("
        "select q.n, q.t::{declared}::{base} as v "
        "from unnest(%s::text[]) with ordinality as q(t, n)) "
        "select pg_catalog.array_agg(pg_catalog.format('%%s', w.v) order by w.n), "
        "pg_catalog.bool_or((w.v{collation}) {operator} w.v) from w"
    ).format(
        declared=sql.Identifier(*facts.declared),
        base=sql.Identifier(*facts.base),
        collation=_collation(facts),
        operator=_OPERATORS[operator],
    )


async def prepare(conn: Connection, facts: Collection[Facts], timeout: float) -> None:
    """Set, until the transaction ends, the seconds that a statement may take, and the path.

    The path leads to where the types live, and with them the operators of extensions.
    """
    names = [name for found in facts for name in (found.declared, found.base)]
    path = dict.fromkeys('"' + name.schema.replace('"', '""') + '"' for name in names)
    await conn.execute(_SETTINGS, (", ".join(path), str(round(timeout * 1000))))


def _collation(facts: Facts) -> sql.Composable:
    if facts.collation is None:
        return sql.SQL("")
    return sql.SQL(" collate {}").format(sql.Identifier(*facts.collation))


def _wanted_type(facts: Facts, operator: Operator) -> sql.Composable:
    as_text = operator in PATTERNS and facts.base != _BYTEA
    return sql.SQL("text") if as_text else sql.Identifier(*facts.base)
