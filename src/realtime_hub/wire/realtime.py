"""The payload of a `postgres_changes` event.

    {"ids": [123], "data": {"schema", "table", "commit_timestamp", "type", "columns",
                            "record", "old_record", "errors"}, "cursor": "..."}

An INSERT has no `old_record`, a DELETE no `record`. The shape is Supabase Realtime's, but for
`cursor`, from which a client can resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import orjson

from realtime_hub.changes import UNKNOWN, Change, Kind, Row, Table
from realtime_hub.errors import ValueSyntaxError
from realtime_hub.lsn import Position
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
    cursor: writes a Position for clients; without it payloads have none. snapshot: it is a row
    that was there before, told as an INSERT, and its payload says so.
    """

    __slots__ = (
        "_cursor",
        "_data",
        "_layouts",
        "_new",
        "_old",
        "_tail",
        "change",
        "snapshot",
        "too_large",
    )

    def __init__(
        self,
        change: Change,
        *,
        max_bytes: int = MAX_BYTES,
        cursor: Callable[[Position], str] | None = None,
        snapshot: bool = False,
    ) -> None:
        self.change = change
        self._cursor = cursor
        self.snapshot = snapshot
        self._tail: bytes | None = b',"snapshot":true' if snapshot else None
        self._new, self._old = change.new, change.old
        self.too_large = _size(change.new) + _size(change.old) > max_bytes
        if self.too_large:
            self._new, self._old = _shortened(change.new), _shortened(change.old)
        self._data: dict[View, bytes] = {}
        self._layouts = _layouts_of(change.table)

    def data(self, view: View) -> bytes:
        """The JSON object `data` of the event."""
        found = self._data.get(view)
        if found is None:
            found = self._data[view] = self._encode(view)
        return found

    def payload(self, view: View, ids: Iterable[int]) -> bytes:
        """The whole payload, for the bindings with these ids."""
        listed = ",".join(map(str, ids)).encode()
        return b'{"ids":[%b],"data":%b%b}' % (listed, self.data(view), self._end())

    def cursor(self) -> str | None:
        """The change's Position as clients hold it."""
        return None if self._cursor is None else self._cursor(self.change.position)

    def _end(self) -> bytes:
        tail = self._tail
        if tail is None:
            cursor = self.cursor()
            tail = self._tail = b"" if cursor is None else b',"cursor":"%b"' % cursor.encode()
        return tail

    def _encode(self, view: View) -> bytes:
        change, new, old = self.change, self._new, self._old
        layout = self._layout(() if view.error else view.columns)
        error = view.error or (ERROR_TOO_LARGE if self.too_large else None)
        parts = [layout.head, _timestamp(change.commit_time), _TYPES[change.kind], layout.columns]
        if new is not None:
            parts += b',"record":', _record(layout.fields, new)
        if old is not None:
            parts += b',"old_record":', _record(layout.fields_of_old(view.old), old)
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


def _record(fields: Fields, row: Row) -> bytes:
    members: list[bytes] = []
    append = members.append
    for index, name, encode in fields:
        value = row[index]
        if value is None:
            append(name + b"null")
        elif isinstance(value, bytes):
            try:
                append(name + encode(value))
            except ValueSyntaxError:
                append(name + orjson.dumps(value.decode(errors="replace")))
    return b"{%b}" % b",".join(members)


def _size(row: Row | None) -> int:
    return sum([len(value) for value in row or () if isinstance(value, bytes)])


def _shortened(row: Row | None) -> Row | None:
    if row is None:
        return None
    return tuple([UNKNOWN if isinstance(v, bytes) and len(v) > KEPT_BYTES else v for v in row])


def _timestamp(microseconds: int) -> bytes:
    """UTC with milliseconds, cut and not rounded, as PostgreSQL's `to_char` has it."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return b"%b.%03dZ" % (_second(seconds), fraction // 1000)


@lru_cache(maxsize=8)
def _second(seconds: int) -> bytes:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").encode()


_TYPES: Final = {kind: b'","type":"%b","columns":' % kind.value.encode() for kind in Kind}
