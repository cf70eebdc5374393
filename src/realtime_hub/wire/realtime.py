"""The payload of a `postgres_changes` event.

    {"ids": [123], "data": {"schema", "table", "commit_timestamp", "type", "columns",
                            "record", "old_record", "errors"}}

An INSERT has no `old_record`, a DELETE no `record`. The shape is Supabase Realtime's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import orjson

from realtime_hub.changes import Change, Kind, Row, Table
from realtime_hub.errors import ValueSyntaxError
from realtime_hub.wire.pgliterals import Encoder
from realtime_hub.wire.pgtypes import json_encoder

ERROR_TOO_LARGE: Final = "Error 413: Payload Too Large"
MAX_BYTES: Final = 1_048_576
KEPT_BYTES: Final = 64
"""Values of at most this many bytes stay in a change that is too large."""


class Old(Enum):
    """What of the old row is shown."""

    FULL = "full"  # all that the change carries of it
    KEY = "key"  # the primary key's columns
    NONE = "none"


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a change, the same for all who have equal rights.

    columns: indexes of the table's columns that are shown, ascending. error: sent instead of
    all values.
    """

    columns: tuple[int, ...]
    old: Old = Old.FULL
    error: str | None = None


class ChangeEncoder:
    """One change as JSON, encoded once for each View of it.

    A change is too large when the texts of its values, new and old, shown or not, add up to
    more than `max_bytes`; what stays then are values of up to 64 bytes. A value that is not
    what its type prints becomes a JSON string as it is: the change is not lost.
    """

    __slots__ = ("_data", "_layouts", "_limit", "change", "max_bytes")

    def __init__(self, change: Change, *, max_bytes: int = MAX_BYTES) -> None:
        self.change = change
        self.max_bytes = max_bytes
        self._data: dict[View, bytes] = {}
        self._layouts = _layouts_of(change.table)
        self._limit: int | None = None

    def data(self, view: View) -> bytes:
        """The JSON object `data` of the event."""
        found = self._data.get(view)
        if found is None:
            found = self._data[view] = self._encode(view)
        return found

    def payload(self, view: View, ids: Iterable[int]) -> bytes:
        """The whole payload, for the bindings with these ids."""
        listed = ",".join(map(str, ids)).encode()
        return b'{"ids":[%b],"data":%b}' % (listed, self.data(view))

    @property
    def too_large(self) -> bool:
        """Whether values are left out for the change's size."""
        return self._longest() != _NO_LIMIT

    def _longest(self) -> int:
        """How long a value may be that is sent."""
        limit = self._limit
        if limit is None:
            size = _size(self.change.new) + _size(self.change.old)
            limit = self._limit = KEPT_BYTES if size > self.max_bytes else _NO_LIMIT
        return limit

    def _encode(self, view: View) -> bytes:
        change = self.change
        layout = self._layout(() if view.error else view.columns)
        limit = self._longest()
        error = view.error or (ERROR_TOO_LARGE if limit != _NO_LIMIT else None)
        parts = [layout.head, _timestamp(change.commit_time), _TYPES[change.kind], layout.columns]
        if change.new is not None:
            parts += b',"record":', _record(layout.fields, change.new, limit)
        if change.old is not None:
            fields = layout.fields_of_old(view.old)
            parts += b',"old_record":', _record(fields, change.old, limit)
        parts += b',"errors":', b"null" if error is None else orjson.dumps([error]), b"}"
        return b"".join(parts)

    def _layout(self, columns: tuple[int, ...]) -> _Layout:
        found = self._layouts.get(columns)
        if found is None:
            found = self._layouts[columns] = _Layout.of(self.change.table, columns)
        return found


Fields: TypeAlias = tuple[tuple[int, bytes, Encoder], ...]
"""A column's index, its name as the JSON member's beginning, and its encoder."""


class _Layout(NamedTuple):
    """What all changes of a Table have in common when these columns are shown."""

    head: bytes
    columns: bytes
    fields: Fields
    key: Fields

    @classmethod
    def of(cls, table: Table, columns: tuple[int, ...]) -> _Layout:
        shown = [table.columns[i] for i in columns]
        named = [{"name": column.name, "type": column.type_name} for column in shown]
        fields = tuple(
            (i, orjson.dumps(column.name) + b":", json_encoder(table.types, column.type_oid))
            for i, column in zip(columns, shown, strict=True)
        )
        head = b'{"schema":%b,"table":%b,"commit_timestamp":"' % (
            orjson.dumps(table.schema),
            orjson.dumps(table.name),
        )
        key = tuple(field for field in fields if field[0] in table.key)
        return cls(head, orjson.dumps(named), fields, key)

    def fields_of_old(self, old: Old) -> Fields:
        if old is Old.FULL:
            return self.fields
        return self.key if old is Old.KEY else ()


_Layouts: TypeAlias = dict[tuple[int, ...], _Layout]

# A Table is made anew when anything about it may have changed, and takes its layouts with it.
_layouts: Final[WeakKeyDictionary[Table, _Layouts]] = WeakKeyDictionary()


def _layouts_of(table: Table) -> _Layouts:
    found = _layouts.get(table)
    if found is None:
        found = _layouts[table] = {}
    return found


def _record(fields: Fields, row: Row, longest: int) -> bytes:
    members: list[bytes] = []
    append = members.append
    for index, name, encode in fields:
        value = row[index]
        if value is None:
            append(name + b"null")
        elif isinstance(value, bytes) and len(value) <= longest:
            try:
                append(name + encode(value))
            except ValueSyntaxError:
                append(name + orjson.dumps(value.decode(errors="replace")))
    return b"{%b}" % b",".join(members)


def _size(row: Row | None) -> int:
    return sum([len(value) for value in row or () if isinstance(value, bytes)])


def _timestamp(microseconds: int) -> bytes:
    """UTC with milliseconds, cut and not rounded, as PostgreSQL's `to_char` has it."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return b"%b.%03dZ" % (_second(seconds), fraction // 1000)


@lru_cache(maxsize=8)
def _second(seconds: int) -> bytes:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").encode()


_NO_LIMIT: Final = 1 << 62
_TYPES: Final = {kind: b'","type":"%b","columns":' % kind.value.encode() for kind in Kind}
