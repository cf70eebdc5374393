"""Column values as Supabase Realtime sends them: from PostgreSQL's text to JSON bytes.

Realtime sends `to_jsonb(text::type)`; so do we, without asking PostgreSQL. The session that
prints the text has TimeZone UTC, DateStyle ISO and bytea_output hex. Two kinds of columns
differ from `to_jsonb`, as in Realtime: NaN and the infinities of a number are null, and bytea
has no leading `\\x`. Inside arrays, composites and domains both are as `to_jsonb` has them.

Numbers keep every digit and their scale, exponents are written out. `json` and `jsonb` go on
as PostgreSQL printed them (it has checked their syntax), on one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from orjson import dumps

from realtime_hub.changes import PgType, TypeKind, Types
from realtime_hub.errors import ValueSyntaxError
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES
from realtime_hub.wire.pgliterals import (
    Encoder,
    array_encoder,
    composite_encoder,
    hstore,
    string,
    utf8,
    vector_encoder,
)

_plain_number: Final = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?").fullmatch
# float8 has exponents down to -324; more digits would let a few bytes grow without measure.
_exponential: Final = re.compile(rb"(-?)(\d)(?:\.(\d+))?e([+-]?\d{1,3})").fullmatch
_NOT_FINITE: Final = frozenset((b"NaN", b"Infinity", b"-Infinity"))


def json_encoder(types: Types, type_oid: int) -> Encoder:
    """The function that turns a column's text into JSON.

    It raises ValueSyntaxError when the text is not what the type prints. Types that are not
    in `types` and not built in become strings.
    """
    return _COLUMNS.get(type_oid) or _encoder(types, type_oid)


def _encoder(types: Types, type_oid: int) -> Encoder:
    scalar = _SCALARS.get(type_oid)
    if scalar is not None:
        return scalar
    known = types.get(type_oid) or BUILTIN_TYPES.get(type_oid)
    return string if known is None else _structured_encoder(types, known)


def _structured_encoder(types: Types, known: PgType) -> Encoder:
    match known.kind:
        case TypeKind.ARRAY:
            return array_encoder(known.name, _encoder(types, known.element), known.delimiter)
        case TypeKind.DOMAIN:
            return _encoder(types, known.base)
        case TypeKind.COMPOSITE:
            attributes = [(name, _encoder(types, oid)) for name, oid in known.attributes]
            return composite_encoder(known.name, attributes)
        case TypeKind.BASE if known.name == "hstore":
            # The contrib type; it has a cast to json, which `to_jsonb` uses.
            return hstore
        case _:
            return string


def _boolean(data: bytes) -> bytes:
    if data == b"t":
        return b"true"
    if data == b"f":
        return b"false"
    raise ValueSyntaxError("bool", _shown(data))


def _integer(data: bytes) -> bytes:
    # Cheap tests first: the regular expression is for zero and what has a sign.
    if data.isdigit() and data[0] != _ZERO:
        return data
    if _plain_number(data) and _POINT not in data:
        return data
    raise ValueSyntaxError("integer", _shown(data))


def _number(data: bytes) -> bytes:
    """numeric, float4 and float8 where `to_jsonb` alone decides."""
    if _plain_number(data):
        # float8 has a negative zero, PostgreSQL's JSON numbers have none.
        return data if data != b"-0" else b"0"
    if data in _NOT_FINITE:
        return b'"%b"' % data
    return _expanded(data)


def _column_number(data: bytes) -> bytes:
    if data.replace(b".", b"", 1).isdigit() and _POINT != data[0] != _ZERO and data[-1] != _POINT:
        return data
    return b"null" if data in _NOT_FINITE else _number(data)


def _expanded(data: bytes) -> bytes:
    """A number without its exponent, digit by digit."""
    found = _exponential(data)
    if found is None:
        raise ValueSyntaxError("number", _shown(data))
    sign, whole, fraction = found[1], found[2], found[3] or b""
    digits = whole + fraction
    point = 1 + int(found[4])
    if point <= 0:
        return b"%b0.%b%b" % (sign, b"0" * -point, digits)
    if point < len(digits):
        return b"%b%b.%b" % (sign, digits[:point], digits[point:])
    return b"%b%b" % (sign, digits.ljust(point, b"0"))


def _timestamp(data: bytes) -> bytes:
    return dumps(utf8(data).replace(" ", "T", 1))


def _timestamptz(data: bytes) -> bytes:
    text = utf8(data)
    if text[-3:] == "+00":
        return dumps(text.replace(" ", "T", 1) + ":00")
    return dumps(_zoned(text))


def _zoned(text: str) -> str:
    """Infinities, years BC, and offsets of a session that is not in UTC."""
    moment, bc = (text[:-3], " BC") if text.endswith(" BC") else (text, "")
    if moment[-3:-2] in ("+", "-"):
        moment += ":00"
    return moment.replace(" ", "T", 1) + bc


def _json(data: bytes) -> bytes:
    # Between tokens only: inside its strings JSON has no raw control characters.
    if _LF in data or _CR in data:
        return data.translate(_ONE_LINE)
    return data


def _bytea(data: bytes) -> bytes:
    if data[:2] != b"\\x":
        raise ValueSyntaxError("bytea", "not in hex format")
    return string(data[2:])


def _shown(data: bytes) -> str:
    return repr(data[:40])[1:]


_POINT, _ZERO, _LF, _CR = b".0\n\r"
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")

# By OID, from src/include/catalog/pg_type.dat; every other type is a string or has a structure.
_SCALARS: Final[Mapping[int, Encoder]] = {
    16: _boolean,
    20: _integer,
    21: _integer,
    22: vector_encoder(_integer),
    23: _integer,
    25: string,
    30: vector_encoder(string),
    114: _json,
    700: _number,
    701: _number,
    1114: _timestamp,
    1184: _timestamptz,
    1700: _number,
    3802: _json,
}
_COLUMNS: Final[Mapping[int, Encoder]] = {
    17: _bytea,
    700: _column_number,
    701: _column_number,
    1700: _column_number,
}
