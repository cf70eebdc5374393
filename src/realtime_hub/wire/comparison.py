"""Comparing column values as PostgreSQL does, from their text alone, where that is certain.

A key is a Python value made from a column's text: keys are equal, and for types in order
keys are sorted, exactly as PostgreSQL holds of the values (documentation, "Data Types";
checked against a server by tests/property/test_filters.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from realtime_hub.changes import Collation, Column, PgType, Table, TypeKind, Types

KeyOf: TypeAlias = Callable[[bytes], Hashable]
OrderOf: TypeAlias = Callable[[bytes], Any]
"""Keys that can be ordered among themselves."""

_TEXT_OIDS: Final = frozenset({25, 1043, 1042, 19})  # text, varchar, bpchar, name
_BPCHAR: Final = 1042
_LIKE_OIDS: Final = frozenset({25, 1043})
_FAR: Final = 1 << 40  # beyond every year that PostgreSQL knows


def base_type(types: Types, oid: int) -> PgType | None:
    """The type itself, or what a domain stands for in the end; None if it is not known."""
    found = types.get(oid)
    while found is not None and found.kind is TypeKind.DOMAIN:
        found = types.get(found.base)
    return found


def equality_key(table: Table, column: int) -> KeyOf | None:
    """How to tell a column's values apart; None where only PostgreSQL can."""
    return key_for(table.columns[column], table.types)


def key_for(column: Column, types: Types) -> KeyOf | None:
    """As `equality_key`, for a column and the types it is made of."""
    kind = base_type(types, column.type_oid)
    if kind is None or column.collation is Collation.NONDETERMINISTIC:
        return None
    if kind.kind is TypeKind.ENUM:
        return _as_it_is
    if kind.oid == _BPCHAR:
        return _without_padding
    return _as_it_is if kind.oid in _TEXT_OIDS else _EXACT.get(kind.oid)


def order_for(column: Column, types: Types) -> OrderOf | None:
    """How to order a column's values; None where only PostgreSQL can.

    Labels of an enum may be added and renamed at any time, so their order is asked for.
    """
    kind = base_type(types, column.type_oid)
    if kind is None or kind.kind is TypeKind.ENUM:
        return None
    if kind.oid in _TEXT_OIDS:
        if column.collation is not Collation.BYTES:
            return None
        return _without_padding if kind.oid == _BPCHAR else _as_it_is
    return _EXACT.get(kind.oid)


def like_is_certain(column: Column, types: Types) -> bool:
    """Whether LIKE on this column compares characters and nothing else."""
    kind = base_type(types, column.type_oid)
    certain = column.collation is not Collation.NONDETERMINISTIC
    return kind is not None and kind.oid in _LIKE_OIDS and certain


def _as_it_is(text: bytes) -> bytes:
    return text


def _without_padding(text: bytes) -> bytes:
    return text.rstrip(b" ")


def _boolean(text: bytes) -> bool:
    return text == b"t"


def _numeric(text: bytes) -> tuple[int, Decimal]:
    """NaN equals itself and comes after everything else, infinity included."""
    value = Decimal(text.decode())
    return (1, Decimal(0)) if value.is_nan() else (0, value)


def _float(text: bytes) -> tuple[int, float]:
    value = float(text)
    return (1, 0.0) if value != value else (0, value)


def _moment(text: bytes) -> tuple[int, bytes]:
    """A date or timestamp in ISO form and UTC: its year, then the rest, which sorts as text."""
    if text == b"infinity":
        return _FAR, b""
    if text == b"-infinity":
        return -_FAR, b""
    if text.endswith(b" BC"):
        year, _, rest = text[:-3].partition(b"-")
        return 1 - int(year), rest.removesuffix(b"+00")
    year, _, rest = text.partition(b"-")
    return int(year), rest.removesuffix(b"+00")


_EXACT: Final[dict[int, OrderOf]] = {
    16: _boolean,
    17: _as_it_is,  # bytea, in hex
    20: int,
    21: int,
    23: int,
    26: int,  # oid
    700: _float,
    701: _float,
    1082: _moment,
    1083: _as_it_is,  # time: fixed width, and fractions sort as text
    1114: _moment,
    1184: _moment,
    1700: _numeric,
    2950: _as_it_is,  # uuid
}
