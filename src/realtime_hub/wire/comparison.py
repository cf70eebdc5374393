"""Comparing column values as PostgreSQL does, from their text alone, where that is certain.

A key is a Python value made from a column's text: two keys are equal exactly when PostgreSQL
holds the values equal, and for types in order the keys sort as the values do (documentation,
"Data Types"; checked against a server by tests/property/test_filters.py). The text must be
what a session with DateStyle ISO, TimeZone UTC and bytea_output hex prints, in a database
whose encoding is UTF8.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from realtime_hub.changes import Collation, PgType, Table, TypeKind, Types
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES

KeyOf: TypeAlias = Callable[[bytes], Any]

_BPCHAR: Final = 1042
_TEXT_OIDS: Final = frozenset({25, 1043, _BPCHAR, 19})  # 19: name
_LIKE_OIDS: Final = frozenset({25, 1043})
_FAR: Final = 1 << 40  # beyond every year that PostgreSQL knows


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the values of one column compare.

    key: a value's text to its key. ordered: whether keys sort as values do. printed: whether
    text is what the type prints, so that its key is certain; other text may stand for a value
    too, or for none, and PostgreSQL must say which.
    """

    key: KeyOf
    ordered: bool
    printed: Callable[[bytes], object]


def equality_key(table: Table, column: int) -> Callable[[bytes], Hashable] | None:
    """How to tell a column's values apart; None where only PostgreSQL can."""
    comparison = comparison_of(table, column)
    return None if comparison is None else comparison.key


def comparison_of(table: Table, column: int) -> Comparison | None:
    """How a column's values compare; None where only PostgreSQL knows.

    Labels of an enum may be added and renamed without a word in the stream, so their order is
    PostgreSQL's affair, and so is a label that the Table does not know.
    """
    facts = table.columns[column]
    base = base_type(table.types, facts.type_oid)
    if base is None:
        return None
    if base.kind is TypeKind.ENUM:
        labels = frozenset(label.encode() for label in base.labels)
        return Comparison(bytes, False, labels.__contains__)
    if base.oid not in _TEXT_OIDS:
        return _EXACT.get(base.oid)
    if not table.known or facts.collation is Collation.NONDETERMINISTIC:
        return None
    ordered = facts.collation is Collation.BYTES
    return Comparison(_unpadded if base.oid == _BPCHAR else bytes, ordered, _anything)


def exact_comparison(type_oid: int) -> Comparison | None:
    """How values of a built-in type compare that has no collation; None where it is not certain."""
    return _EXACT.get(type_oid)


def like_is_certain(table: Table, column: int) -> bool:
    """Whether LIKE on this column compares characters and nothing else."""
    facts = table.columns[column]
    base = base_type(table.types, facts.type_oid)
    if base is None or base.oid not in _LIKE_OIDS:
        return False
    return table.known and facts.collation is not Collation.NONDETERMINISTIC


def base_type(types: Types, oid: int) -> PgType | None:
    """The type itself, or what a domain stands for in the end; None if it is not known."""
    found = types.get(oid) or BUILTIN_TYPES.get(oid)
    while found is not None and found.kind is TypeKind.DOMAIN:
        found = types.get(found.base) or BUILTIN_TYPES.get(found.base)
    return found


def _anything(_text: bytes) -> bool:
    return True


def _unpadded(text: bytes) -> bytes:
    return text.rstrip(b" ")


def _boolean(text: bytes) -> bool:
    return text == b"t"


def _numeric(text: bytes) -> tuple[int, Decimal]:
    """NaN equals itself and comes after everything else, infinity included."""
    value = Decimal(text.decode())
    return (1, Decimal(0)) if value.is_nan() else (0, value)


def _double(text: bytes) -> tuple[int, float]:
    """NaN as with numeric; negative zero equals zero."""
    value = float(text)
    return (1, 0.0) if value != value else (0, value)


def _single(text: bytes) -> tuple[int, float]:
    """float4: what is printed is the shortest text, the value is what it rounds to."""
    nan, value = _double(text)
    return nan, struct.unpack("<f", struct.pack("<f", value))[0]


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


_FRACTION: Final = rb"(?:\.\d{0,5}[1-9])?"
_DATE: Final = rb"\d{4,7}-\d\d-\d\d"
_TIME: Final = rb"\d\d:\d\d:\d\d" + _FRACTION


def _exact(key: KeyOf, printed: bytes) -> Comparison:
    return Comparison(key, True, re.compile(printed).fullmatch)


_INTEGER: Final = _exact(int, rb"-?\d{1,20}")

_EXACT: Final[dict[int, Comparison]] = {
    16: _exact(_boolean, rb"[tf]"),
    17: _exact(bytes, rb"\\x(?:[0-9a-f]{2})*"),  # bytea: hexadecimal sorts as its bytes do
    20: _INTEGER,
    21: _INTEGER,
    23: _INTEGER,
    26: _INTEGER,  # oid
    700: _exact(_single, rb"-?(?:\d+(?:\.\d+)?(?:e[-+]\d{2,3})?|Infinity)|NaN"),
    701: _exact(_double, rb"-?(?:\d+(?:\.\d+)?(?:e[-+]\d{2,3})?|Infinity)|NaN"),
    1082: _exact(_moment, _DATE + rb"(?: BC)?|-?infinity"),
    1083: _exact(bytes, _TIME),  # of fixed width, and a fraction sorts as text
    1114: _exact(_moment, _DATE + b" " + _TIME + rb"(?: BC)?|-?infinity"),
    1184: _exact(_moment, _DATE + b" " + _TIME + rb"\+00(?: BC)?|-?infinity"),
    1700: _exact(_numeric, rb"-?(?:\d+(?:\.\d+)?|Infinity)|NaN"),
    2950: _exact(bytes, rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
