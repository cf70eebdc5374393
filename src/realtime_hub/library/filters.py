"""Filters of listeners, judged again in the hub on what was delivered.

The rules are those of `wire.bound`: what is certain from a value's text is decided here. What
only PostgreSQL can decide (regular expressions, collations, enums of unknown labels) is never
guessed at: the planner gives such a filter an upstream binding of its own, and the upstream's
word for that binding is the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

from realtime_hub.changes import UNKNOWN, Column, Row, Table, Value
from realtime_hub.library.change import Change
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.filters import Condition, Operator, parse_filter
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES

Columns: TypeAlias = tuple[tuple[str, str], ...]
"""Name and type name of each column of a payload, in order."""

_plain: Final = re.compile(
    r"-?(?:0|[1-9]\d{0,17})|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
).fullmatch
"""Integers and UUIDs: values with one spelling, whatever the type of the column."""

_EQUALITY: Final = frozenset({Operator.EQ, Operator.IN, Operator.NEQ})
_OIDS: Final = {known.name: oid for oid, known in BUILTIN_TYPES.items()}
_MOMENTS: Final = frozenset({_OIDS["timestamp"], _OIDS["timestamptz"]})
_BYTEA: Final = _OIDS["bytea"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A listener's filter. text: as it is sent upstream."""

    text: str
    conditions: tuple[Condition, ...]

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str | None) -> Filter | None:
        """None for no filter. Raises FilterSyntaxError."""
        conditions = parse_filter(text)
        return Filter(str(text).strip(), conditions) if conditions else None

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(condition.column for condition in self.conditions)

    @property
    def members(self) -> tuple[str, frozenset[str]] | None:
        """The column and the values of a filter that is one `eq` or `in`; None for others."""
        if len(self.conditions) != 1:
            return None
        [condition] = self.conditions
        if condition.negated or condition.operator not in (Operator.EQ, Operator.IN):
            return None
        value = condition.value
        return condition.column, frozenset([value] if isinstance(value, str) else value)


def joined(column: str, members: Iterable[str]) -> str:
    """The filter `column=in.(...)`, a single member as `eq`."""
    values = sorted(members)
    if len(values) == 1:
        return f"{column}=eq.{_written(values[0])}"
    return f"{column}=in.({','.join(_written(value) for value in values)})"


def _written(value: str) -> str:
    if _plain(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def is_decidable(filter: Filter, shape: Shape | None) -> bool:
    """Whether the hub can judge the filter by itself.

    Before the columns' types are known (shape: None), only values with one spelling are
    trusted to mean the same in every type.
    """
    if shape is not None:
        return not shape.bound(filter).asked
    return all(
        condition.operator is Operator.IS
        or (condition.operator in _EQUALITY and all(map(_plain, _texts(condition))))
        for condition in filter.conditions
    )


class Shape:
    """A table's columns with their types, and the filters bound to them.

    Made from the Table where the upstream reads the WAL itself, else from what a payload says
    of its columns.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._bound: dict[Filter, BoundFilter] = {}

    @classmethod
    def of(cls, columns: Columns) -> Shape:
        described = tuple(Column(name, _OIDS.get(kind, 0), kind) for name, kind in columns)
        return cls(Table(0, "", "", described, {}))

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the columns that tell rows apart; none where they are not known."""
        return tuple(self.table.columns[index].name for index in self.table.key)

    def bound(self, filter: Filter) -> BoundFilter:
        found = self._bound.get(filter)
        if found is None:
            found = self._bound[filter] = bind_filter(filter.conditions, self.table)
        return found

    def forget(self, filter: Filter) -> None:
        self._bound.pop(filter, None)

    def row(self, change: Change, columns: Iterable[int]) -> Row:
        """The values of these columns as PostgreSQL prints them, all others UNKNOWN."""
        if change.decoded is not None:
            return change.decoded.row or ()
        values = change.row
        row: list[Value] = [UNKNOWN] * len(self.table.columns)
        for index in columns:
            column = self.table.columns[index]
            if column.name in values:
                row[index] = text_of(values[column.name], column.type_oid)
        return tuple(row)


def fulfils(filter: Filter, shape: Shape, row: Row, change: Change) -> bool:
    """Whether the change fulfils the filter, by the hub's judgement and the upstream's word."""
    bound = shape.bound(filter)
    if not bound.matches(row):
        return False
    if not bound.asked or filter.text in change.matched:
        return True
    # Joined with others before its column's type was known: the spelling is all there is.
    return all(_spelled(condition, change.row) for condition in bound.asked)


def text_of(value: Any, type_oid: int) -> bytes | None:
    """A JSON value as PostgreSQL prints it; None for NULL.

    The way back from what `to_jsonb` makes: timestamps have a T and a full offset there, bytea
    lacks its prefix. Numbers that JSON readers keep as floats have their digits only.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f").encode()
    text = str(value)
    if type_oid in _MOMENTS:
        text = text.replace("T", " ", 1).replace("+00:00", "+00")
    return (rf"\x{text}" if type_oid == _BYTEA else text).encode()


def _spelled(condition: Condition, values: Mapping[str, Any]) -> bool:
    text = text_of(values.get(condition.column), 0)
    if condition.operator not in _EQUALITY or text is None:
        return False
    wants_equal = (condition.operator is Operator.NEQ) is condition.negated
    return (text.decode() in _texts(condition)) is wants_equal


def _texts(condition: Condition) -> tuple[str, ...]:
    value = condition.value
    return (value,) if isinstance(value, str) else value
