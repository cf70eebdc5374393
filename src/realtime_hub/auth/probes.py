"""The SQL that asks PostgreSQL whether a role may see a changed row.

A probe runs in a transaction of its own. It must be asked in a snapshot that sees the change:
the stream can run ahead of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from psycopg import sql

from realtime_hub.changes import Row, Table, Value

Parameters: TypeAlias = tuple[bytes | None, ...]
"""In text form."""


@dataclass(frozen=True, slots=True)
class Statement:
    query: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Probe:
    """A question about one row.

    verdict: asked as the role; it answers (visible, verdict), where `visible` says whether the
    snapshot sees the change. before: asked before, with the gateway's own rights, and in the
    same snapshot; it answers (visible, relevant), and unless relevant the row is withheld.
    otherwise: what to ask if the verdict can't be executed as it is. tells: not a verdict but
    values are wanted.
    """

    verdict: Statement
    before: Statement | None = None
    otherwise: Probe | None = None
    tells: bool = False


# The transaction's 32-bit id is completed from the snapshot's.
_VISIBLE: Final = """
pg_catalog.pg_visible_in_snapshot(
  (select (case when near.xid > near.top + 2147483648 then near.xid - 4294967296
                when near.xid < near.top - 2147483648 then near.xid + 4294967296
                else near.xid end)::pg_catalog.text::pg_catalog.xid8
   from (select top, (top >> 32 << 32) | ${number}::pg_catalog.int8 as xid
         from (select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
                 ::pg_catalog.text::pg_catalog.int8 as top) snapshot) near),
  pg_catalog.pg_current_snapshot())
"""


def value_probe(
    table: Table, names: Sequence[str], row: Row, expression: str, xid: int, otherwise: Probe | None
) -> Probe:
    """Ask whether the expression holds on these values, whatever the table holds by now.

    The values stand in for a row of the table under its own name, so that column references
    and whole-row references mean them. The expression is a WHERE clause, as policies are: there
    PostgreSQL tries what is constant while it plans, and what raises hides all rows. names: the
    table's columns as the policies were read. They name the values: by now the table's own
    names may stand elsewhere.
    """
    columns = ", ".join(_quoted(name) for name in names)
    query = (
        f"select moment.visible, case when moment.visible then exists(select 1"
        f" from pg_catalog.unnest(array[$1::{_quoted(table.schema, table.name)}])"
        f" as {_quoted(table.name)}({columns}) where {expression}) end"
        f" from (select {_VISIBLE.format(number=2)} as visible offset 0) moment"
    )
    values = [row[table.index[name]] if name in table.index else None for name in names]
    return Probe(Statement(query, (composite(values), b"%d" % xid)), otherwise=otherwise)


def parts_probe(arrays: Sequence[str], xid: int) -> Probe:
    """Ask for the values of arrays that depend on who asks, and not on a row.

    It tells the snapshot, and of each array its elements' type and the array as text.
    """
    columns = ", ".join(f"{array} as a{i}" for i, array in enumerate(arrays))
    told = ", ".join(
        "(select t.typelem::pg_catalog.text from pg_catalog.pg_type t"
        f" where t.oid OPERATOR(pg_catalog.=) pg_catalog.pg_typeof(parts.a{i})),"
        f" case when parts.a{i} is not null then pg_catalog.format('%s', parts.a{i}) end"
        for i in range(len(arrays))
    )
    query = (
        f"select {_VISIBLE.format(number=1)},"
        f" pg_catalog.pg_current_snapshot()::pg_catalog.text, {told}"
        f" from (select {columns} offset 0) parts"
    )
    return Probe(Statement(query, (b"%d" % xid,)), tells=True)


def unaltered(probe: Probe, table: Table, names: Sequence[str], xid: int) -> Probe:
    """The same question, asked only while the table's columns are these: functions that get
    whole rows find the values by the names that the table has now."""
    query = (
        f"select {_VISIBLE.format(number=1)}, $2::pg_catalog.text[] = array("
        "select a.attname::pg_catalog.text from pg_catalog.pg_attribute a"
        f" where a.attrelid = {table.oid} and a.attnum > 0 and not a.attisdropped"
        " order by a.attnum)"
    )
    listed = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    before = Statement(query, (b"%d" % xid, f"{{{listed}}}".encode()))
    return replace(probe, before=before)


def table_probe(table: Table, names: Sequence[str], row: Row, xid: int) -> Probe | None:
    """Ask whether the role sees the row in the table, if it still is what the change made it.

    That is: the same transaction wrote it last, and all that the change carries is the same.
    Else nobody can tell any more whether the row as it was could be seen. None without a key.
    """
    key = [table.columns[i].name for i in table.key]
    known = [n for n in names if n in table.index and _is_known(row[table.index[n]])]
    if not key or not set(key) <= set(known) or not all(_has_type(table, n) for n in known):
        return None
    place = f"{_quoted(table.schema, table.name)} as changed"
    cast = {name: f"::{_type(table, name)}" for name in known}
    tests = [f"changed.{_quoted(n)} = ${i}{cast[n]}" for i, n in enumerate(key, 1)]
    found = f"from {place} where {' and '.join(tests)}"
    first = len(key) + 1
    was = ", ".join(f"${i}{cast[n]}" for i, n in enumerate(known, first))
    now = ", ".join(f"changed.{_quoted(n)}" for n in known)
    number = first + len(known)
    before = (
        f"select {_VISIBLE.format(number=number)}, exists(select 1 {found}"
        f" and changed.xmin::pg_catalog.text::pg_catalog.int8 = ${number}::pg_catalog.int8"
        f' and row({now})::pg_catalog.text collate pg_catalog."C" = row({was})::pg_catalog.text)'
    )
    keys = tuple(_text(row[table.index[name]]) for name in key)
    values = tuple(_text(row[table.index[name]]) for name in known)
    return Probe(
        Statement(f"select true, exists(select 1 {found})", keys),
        before=Statement(before, (*keys, *values, b"%d" % xid)),
    )


def composite(row: Sequence[Value]) -> bytes:
    """The row as a composite literal (documentation, "Composite Type Input")."""
    parts = []
    for value in row:
        if isinstance(value, bytes):
            parts.append(b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'""'))
        else:
            parts.append(b"")
    return b"(%b)" % b",".join(parts)


def _is_known(value: Value) -> bool:
    return value is None or isinstance(value, bytes)


def _text(value: Value) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _has_type(table: Table, name: str) -> bool:
    return table.columns[table.index[name]].type_oid in table.types


def _type(table: Table, name: str) -> str:
    """A column's type without a modifier: `pg_catalog.bpchar` is not cut to one character."""
    known = table.types[table.columns[table.index[name]].type_oid]
    return _quoted(known.schema, known.name)


def _quoted(*names: str) -> str:
    return sql.Identifier(*names).as_string(None)
