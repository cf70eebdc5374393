"""Literals that hold other values (arrays, composites, hstore), turned into JSON.

Formats: PostgreSQL documentation, "Array Input and Output Syntax", "Composite Type Input and
Output Syntax" and "hstore External Representation"; only what the output functions print is
read, which is less than what the input functions take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from orjson import dumps

from realtime_hub.errors import ValueSyntaxError

Encoder: TypeAlias = Callable[[bytes], bytes]
"""From a value's text to its JSON; raises ValueSyntaxError."""

_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_unescape: Final = re.compile(rb"\\(.)", re.DOTALL).sub
_unquote_field: Final = re.compile(rb'""|\\(.)', re.DOTALL).sub
_field: Final = re.compile(
    rb'(?:"([^"\\]*(?:(?:""|\\.)[^"\\]*)*)"|([^,()"\\]*))([,)])', re.DOTALL
).match
_pair: Final = re.compile(
    rb'"([^"\\]*(?:\\.[^"\\]*)*)"=>(?:"([^"\\]*(?:\\.[^"\\]*)*)"|NULL)(, |\Z)', re.DOTALL
).match


def utf8(data: bytes) -> str:
    """The text of a value; a database in SQL_ASCII can hold bytes that are none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueSyntaxError("text", f"not UTF-8 at byte {error.start}") from None


def string(data: bytes) -> bytes:
    """Any text as a JSON string."""
    # As `utf8` does, without the call: half of all values come through here.
    try:
        return dumps(data.decode())
    except UnicodeDecodeError as error:
        raise ValueSyntaxError("text", f"not UTF-8 at byte {error.start}") from None


def array_encoder(name: str, element: Encoder, delimiter: str = ",") -> Encoder:
    """Arrays of any dimension as nested JSON arrays; `name` is the type's, for errors.

    Lower bounds other than 1 (`[0:1]={..}`) are left out, as `to_jsonb` does.
    """
    separator = delimiter.encode()
    flat = (
        _flat_strings_encoder(delimiter) if element is string else _flat_encoder(element, separator)
    )
    nested = _nested_array_encoder(name, element, separator)

    def encode(data: bytes) -> bytes:
        # One dimension and nothing quoted: what most arrays are.
        if data.rfind(b"{") == 0 and data.find(b"}") == len(data) - 1 and _QUOTE not in data:
            return flat(data[1:-1]) if len(data) > 2 else b"[]"
        return nested(data[data.find(b"=") + 1 :] if data[:1] == b"[" else data)

    return encode


def _flat_encoder(element: Encoder, separator: bytes) -> Encoder:
    def encode(body: bytes) -> bytes:
        items = [b"null" if v == b"NULL" else element(v) for v in body.split(separator)]
        return b"[%b]" % b",".join(items)

    return encode


def _flat_strings_encoder(delimiter: str) -> Encoder:
    def encode(body: bytes) -> bytes:
        items: list[str | None] = [*utf8(body).split(delimiter)]
        if "NULL" in items:
            items = [None if item == "NULL" else item for item in items]
        return dumps(items)

    return encode


def _nested_array_encoder(name: str, element: Encoder, separator: bytes) -> Encoder:
    escaped = re.escape(separator)
    token = re.compile(
        rb'[{}]|%b|"([^"\\]*(?:\\.[^"\\]*)*)"|([^{}"\\%b]+)' % (escaped, escaped), re.DOTALL
    ).match

    def encode(data: bytes) -> bytes:
        out: list[bytes] = []
        position = depth = 0
        complete = False  # a value stands here, so a separator or a brace must follow
        while found := token(data, position):
            position = found.end()
            quoted, plain = found.groups()
            text = found.group()
            if text == separator or text == b"}":
                if not complete and not (text == b"}" and out and out[-1] == b"["):
                    break
                complete = text == b"}"
                depth -= complete
                out.append(b"]" if complete else b",")
            elif complete or (depth == 0 and text != b"{"):
                break
            elif text == b"{":
                depth += 1
                out.append(b"[")
            else:
                complete = True
                out.append(_array_element(element, quoted, plain))
            if depth == 0:
                break
        if depth or not complete or position != len(data):
            raise ValueSyntaxError(name, f"not an array at byte {position}")
        return b"".join(out)

    return encode


def _array_element(element: Encoder, quoted: bytes | None, plain: bytes) -> bytes:
    if quoted is None:
        return b"null" if plain == b"NULL" else element(plain)
    return element(_unescape(rb"\1", quoted) if _BACKSLASH in quoted else quoted)


def vector_encoder(element: Encoder) -> Encoder:
    """`int2vector` and `oidvector`, whose elements stand between single spaces."""

    def encode(data: bytes) -> bytes:
        return b"[%b]" % b",".join([element(value) for value in data.split()])

    return encode


def composite_encoder(name: str, attributes: Sequence[tuple[str, Encoder]]) -> Encoder:
    """Composite values as JSON objects, by attribute name in the type's order."""
    keys = [b"%b:" % dumps(attribute) for attribute, _ in attributes]
    encoders = [encoder for _, encoder in attributes]

    def encode(data: bytes) -> bytes:
        fields = _composite_fields(name, data) if encoders or data != b"()" else []
        if len(fields) != len(keys):
            raise ValueSyntaxError(name, f"{len(fields)} attributes, expected {len(keys)}")
        members = [
            key + (b"null" if field is None else encoder(field))
            for key, encoder, field in zip(keys, encoders, fields, strict=True)
        ]
        return b"{%b}" % b",".join(members)

    return encode


def _composite_fields(name: str, data: bytes) -> list[bytes | None]:
    """The attributes' texts; NULL is printed as nothing, the empty string as `""`."""
    fields: list[bytes | None] = []
    position = 1
    while data[:1] == b"(" and (found := _field(data, position)):
        quoted, plain, end = found.groups()
        if quoted is not None:
            fields.append(_unquote_field(_field_character, quoted))
        else:
            fields.append(plain or None)
        position = found.end()
        if end == b")":
            break
    if position != len(data) or data[-1:] != b")":
        raise ValueSyntaxError(name, f"not a composite value at byte {position}")
    return fields


def _field_character(found: re.Match[bytes]) -> bytes:
    return found[1] or b'"'


def hstore(data: bytes) -> bytes:
    """An hstore as a JSON object of strings and nulls."""
    members: list[bytes] = []
    position = 0
    while position < len(data):
        found = _pair(data, position)
        # A separator promises another pair.
        if found is None or (found[3] and found.end() == len(data)):
            raise ValueSyntaxError("hstore", f"not a pair at byte {position}")
        key, value = found[1], found[2]
        text = b"null" if value is None else string(_unescape(rb"\1", value))
        members.append(string(_unescape(rb"\1", key)) + b":" + text)
        position = found.end()
    return b"{%b}" % b",".join(members)
