"""Changes and Tables as bytes.

Rows go through `marshal`, version 4, which every Python since 3.4 reads: it writes a tuple of
bytes in one call, where anything written in Python pays for each value. It trusts its input,
so bytes are decoded only after their checksum was found right.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Change,
    Collation,
    Column,
    Kind,
    PgType,
    ReplicaIdentity,
    Row,
    Table,
    TypeKind,
)
from realtime_hub.lsn import Position

_MARSHAL_VERSION: Final = 4
_KINDS: Final = tuple(Kind)
# Looked up with `is`: hashing an enum's member runs Python code, for each row.
_INSERT, _UPDATE, _DELETE, _TRUNCATE = _KINDS


def encode_changes(changes: Sequence[Change], number: Callable[[Table], int]) -> bytes:
    """Write changes of one epoch; `number` gives the number that a Table is known by.

    A row is a tuple of its values, or a list if some are absent: True then stands for
    UNCHANGED, False for UNKNOWN.
    """
    try:
        return marshal.dumps(_records(changes, number, _unchecked), _MARSHAL_VERSION)
    except ValueError:  # an absent value in a new row, which is rare
        return marshal.dumps(_records(changes, number, _packed), _MARSHAL_VERSION)


def _records(
    changes: Sequence[Change],
    number: Callable[[Table], int],
    pack: Callable[[Row | None], Row | list[bytes | bool | None] | None],
) -> list[tuple[Any, ...]]:
    records = []
    table, table_number = None, 0
    for position, kind, its_table, commit_time, xid, new, old in changes:
        if its_table is not table:
            table, table_number = its_table, number(its_table)
        records.append(
            (
                position.lsn,
                position.ordinal,
                _kind_number(kind),
                table_number,
                commit_time,
                xid,
                pack(new),
                None if old is None else _packed(old),
            )
        )
    return records


def _unchecked(row: Row | None) -> Row | None:
    return row


def decode_changes(body: bytes, epoch: int, tables: Mapping[int, Table]) -> list[Change]:
    """Read what `encode_changes` wrote.

    Raises:
        KeyError: a table's number is not in `tables`.
    """
    return [
        Change(
            Position(epoch, lsn, ordinal),
            _KINDS[kind],
            tables[table],
            commit_time,
            xid,
            new if new.__class__ is not list else _unpacked(new),
            old if old.__class__ is not list else _unpacked(old),
        )
        for lsn, ordinal, kind, table, commit_time, xid, new, old in marshal.loads(body)  # noqa: S302
    ]


def _kind_number(kind: Kind) -> int:
    if kind is _INSERT:
        return 0
    if kind is _UPDATE:
        return 1
    return 2 if kind is _DELETE else 3


def _packed(row: Row | None) -> Row | list[bytes | bool | None] | None:
    if row is None or (UNKNOWN not in row and UNCHANGED not in row):
        return row
    return [True if v is UNCHANGED else False if v is UNKNOWN else v for v in row]


def _unpacked(row: list[bytes | bool | None]) -> Row:
    return tuple([UNCHANGED if v is True else UNKNOWN if v is False else v for v in row])


def encode_table(table: Table) -> bytes:
    """Write a Table with its types; equal tables give equal bytes."""
    return orjson.dumps(
        {
            "oid": table.oid,
            "schema": table.schema,
            "name": table.name,
            "identity": table.identity,
            "row_security": table.row_security,
            "known": table.known,
            "columns": [_fields(column) for column in table.columns],
            "types": [_fields(table.types[oid]) for oid in sorted(table.types)],
        }
    )


def decode_table(body: bytes) -> Table:
    """Read what `encode_table` wrote, as a Table of its own identity."""
    fields = orjson.loads(body)
    types = [_pg_type(pg_type) for pg_type in fields["types"]]
    return Table(
        oid=fields["oid"],
        schema=fields["schema"],
        name=fields["name"],
        columns=tuple(_column(column) for column in fields["columns"]),
        types={pg_type.oid: pg_type for pg_type in types},
        identity=ReplicaIdentity(fields["identity"]),
        row_security=fields["row_security"],
        known=fields["known"],
    )


def _fields(value: Column | PgType) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _column(fields: dict[str, Any]) -> Column:
    fields["collation"] = Collation(fields["collation"])
    return Column(**fields)


def _pg_type(fields: dict[str, Any]) -> PgType:
    fields["kind"] = TypeKind(fields["kind"])
    fields["attributes"] = tuple((name, oid) for name, oid in fields["attributes"])
    fields["labels"] = tuple(fields["labels"])
    return PgType(**fields)
