"""Values of policy expressions: how PostgreSQL compares and casts them, where that is certain.

A value is True or False for booleans, parsed JSON for json and jsonb, else the type's text in
bytes; SQL's NULL is None, and JSON's null is JSON_NULL. What is not certain raises Uncertain.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from realtime_hub.changes import PgType, TypeKind
from realtime_hub.wire.comparison import exact_comparison
from realtime_hub.wire.pgliterals import array_encoder, string

BOOL, INT2, INT4, INT8, NUMERIC = 16, 21, 23, 20, 1700
TEXT, VARCHAR, UUID, JSON, JSONB = 25, 1043, 2950, 114, 3802
INTEGERS: Final = {INT2: 1 << 15, INT4: 1 << 31, INT8: 1 << 63}
TEXTS: Final = frozenset({TEXT, VARCHAR})
JSONS: Final = frozenset({JSON, JSONB})
FIRST_USER_OID: Final = 16_384

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
JSON_NULL: Final = object()
CLAIMS: Final = object()
"""Stands for the text of all claims, which only a cast to JSON may read."""


class Uncertain(Exception):
    """What PostgreSQL would say of this can't be told here."""


# Reading a column's text


def reader(base: PgType) -> Callable[[bytes], Any]:
    """How a column of this type is read; only of types that can be compared or looked into."""
    if base.kind is TypeKind.ENUM:
        return _label_reader(base)
    if base.kind is not TypeKind.BASE or base.oid >= FIRST_USER_OID:
        raise Uncertain("column's type")
    if base.oid == BOOL:
        return b"t".__eq__
    return _read_json if base.oid == JSONB else bytes


def _label_reader(base: PgType) -> Callable[[bytes], Any]:
    """Labels are added and renamed without a word in the stream: unknown ones are uncertain."""
    labels = frozenset(label.encode() for label in base.labels)

    def read(text: bytes) -> bytes:
        if text not in labels:
            raise Uncertain("label of an enum")
        return text

    return read


def _read_json(text: bytes) -> Any:
    value = orjson.loads(text)
    return JSON_NULL if value is None else value


_array_json: Final = array_encoder("array", string)


def read_array(text: bytes) -> list[bytes | None]:
    """All elements of an array's literal, of every dimension in turn."""
    elements: list[bytes | None] = []
    waiting: list[Any] = [orjson.loads(_array_json(text))]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        else:
            elements.append(None if item is None else item.encode())
    return elements


# Comparing


def common_key(left: int, right: int, *, ordered: bool) -> Callable[[Any], Any]:
    """How values of two types compare, if the operator between them is certain."""
    oids = {left, right}
    if oids <= INTEGERS.keys():
        return int
    if oids <= TEXTS and not ordered:
        return plain_text
    if len(oids) != 1 or oids & (JSONS | TEXTS):
        raise Uncertain("comparison")
    (oid,) = oids
    if oid == BOOL:
        return bool
    comparison = exact_comparison(oid)
    if comparison is not None:
        return comparison.key
    if oid >= FIRST_USER_OID and not ordered:
        return plain_text  # an enum: no other type of users' own is ever compiled
    raise Uncertain("comparison")


def plain_text(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Uncertain("not plain text")
    return value


# JSON


def json_member(value: Any, name: str) -> Any:
    """`value -> name`, with JSON_NULL for JSON's null."""
    if not isinstance(value, Mapping) or name not in value:
        return None
    found = value[name]
    return JSON_NULL if found is None else found


def json_path(value: Any, path: list[str]) -> Any:
    """`value #> path`; a path through arrays is not certain."""
    for name in path:
        if isinstance(value, list):
            raise Uncertain("path into an array")
        value = json_member(value, name)
    return value


def json_text(value: Any) -> bytes | None:
    """What `->>` gives; of numbers only integers are certain, and no containers."""
    if value is None or value is JSON_NULL:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str):
        if "\0" in value:
            raise Uncertain("NUL")
        return value.encode()
    if isinstance(value, int):
        return str(value).encode()
    raise Uncertain("JSON as text")


# Casting


def conversion(source: int, target: int) -> Callable[[Any], Any]:
    """A cast between types, neither of them NULL."""
    if source == target or {source, target} <= TEXTS:
        return lambda value: value
    if source in TEXTS:
        return lambda value: _from_text(target, value)
    if source in INTEGERS and (target in INTEGERS or target == NUMERIC):
        return lambda value: _in_range(target, value)
    # Not from enums: their owner may have made a cast to text that is a function.
    if target in TEXTS and (source == UUID or source in INTEGERS):
        return plain_text
    raise Uncertain("cast")


def constant(target: int, text: bytes) -> Any:
    """A constant as PostgreSQL deparses it, which is in the form that its type prints."""
    if target in TEXTS or target >= FIRST_USER_OID:
        return text
    if target == BOOL and text in (b"true", b"t", b"false", b"f"):
        return text in (b"true", b"t")
    comparison = exact_comparison(target)
    if target != BOOL and comparison is not None and comparison.printed(text):
        return text
    raise Uncertain("constant")


_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_INTEGER: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]{1,19})[ \t\n\v\f\r]*")
_NUMERIC: Final = re.compile(rb"-?[0-9]{1,100}(?:\.[0-9]{1,100})?")


def _from_text(target: int, value: Any) -> Any:
    """Text as a value of a type. Only plain forms are certain: others may stand for a value as
    well, or make PostgreSQL raise."""
    if value is CLAIMS or target in JSONS:
        raise Uncertain("text as JSON")
    text = plain_text(value)
    if target == UUID and _UUID.fullmatch(text):
        return text.lower()
    if target in INTEGERS and (found := _INTEGER.fullmatch(text)):
        return _in_range(target, str(int(found[1])).encode())
    if target == NUMERIC and _NUMERIC.fullmatch(text):
        return text
    if target == BOOL and text in (b"true", b"t", b"false", b"f"):
        return text in (b"true", b"t")
    raise Uncertain("cast of text")


def _in_range(target: int, text: bytes) -> bytes:
    limit = INTEGERS.get(target)
    if limit is not None and not -limit <= int(text) < limit:
        raise Uncertain("integer out of range")
    return text
