"""A filter bound to one Table: what can be looked up, decided here, or only asked.

SQL's logic has three values: a condition on NULL is unknown, and so is its negation; neither
matches. A column that the row does not carry never matches.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from realtime_hub.changes import Absent, Row, Table, Value
from realtime_hub.wire.comparison import key_for, like_is_certain, order_for
from realtime_hub.wire.filters import Condition, Operator

_Test: TypeAlias = Callable[[Value], bool | None]
"""SQL's verdict on one value: true, false or unknown."""

_ORDERED: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
}


@dataclass(frozen=True, slots=True)
class BoundFilter:
    """A filter for the rows of one Table.

    index_keys: a column and the equality keys of which a matching row has one, None if no
    condition says so. asked: the conditions that only PostgreSQL can decide.
    """

    index_keys: tuple[int, frozenset[Hashable]] | None
    asked: tuple[Condition, ...]
    _tests: tuple[tuple[int, _Test, bool], ...]
    _impossible: bool = False

    def matches(self, row: Row) -> bool:
        """Whether all conditions hold that are not in `asked`."""
        if self._impossible:
            return False
        for column, test, wanted in self._tests:
            value = row[column]
            if isinstance(value, Absent) or test(value) is not wanted:
                return False
        return True


def bind_filter(conditions: Sequence[Condition], table: Table) -> BoundFilter:
    """Bind conditions whose values are in the form that their columns print.

    A condition on a column that the table does not have (any more) makes the filter match
    nothing.
    """
    tests: list[tuple[int, _Test, bool]] = []
    asked: list[Condition] = []
    index_keys: tuple[int, frozenset[Hashable]] | None = None
    for condition in conditions:
        column = table.index.get(condition.column)
        if column is None:
            return BoundFilter(None, (), (), _impossible=True)
        test = _test(condition, table, column)
        if test is None:
            asked.append(condition)
            continue
        tests.append((column, test, not condition.negated))
        if index_keys is None:
            index_keys = _index_keys(condition, table, column)
    return BoundFilter(index_keys, tuple(asked), tuple(tests))


def _index_keys(
    condition: Condition, table: Table, column: int
) -> tuple[int, frozenset[Hashable]] | None:
    if condition.negated or condition.operator not in (Operator.EQ, Operator.IN):
        return None
    key_of = key_for(table.columns[column], table.types)
    if key_of is None:
        return None
    return column, frozenset(key_of(value.encode()) for value in _values(condition))


def _test(condition: Condition, table: Table, column: int) -> _Test | None:
    """The test for one condition; None if it must be asked."""
    kind, facts, types = condition.operator, table.columns[column], table.types
    if kind is Operator.IS:
        return _is_test(condition)
    if kind is Operator.LIKE:
        return _like_test(condition) if like_is_certain(facts, types) else None
    key_of = order_for(facts, types) if kind in _ORDERED else key_for(facts, types)
    if key_of is None or kind in (Operator.ILIKE, Operator.MATCH, Operator.IMATCH):
        return None
    keys = [key_of(value.encode()) for value in _values(condition)]
    if kind is Operator.IN:
        return _membership_test(key_of, frozenset(keys))
    if kind in _ORDERED:
        return _order_test(key_of, _ORDERED[kind], keys[0])
    return _equality_test(key_of, kind, keys[0])


def _values(condition: Condition) -> tuple[str, ...]:
    value = condition.value
    return value if isinstance(value, tuple) else (value,)


def _is_test(condition: Condition) -> _Test:
    if condition.value in ("null", "unknown"):
        return lambda value: value is None
    wanted = b"t" if condition.value == "true" else b"f"
    return lambda value: value == wanted


def _membership_test(key_of: Callable[[bytes], Hashable], keys: frozenset[Hashable]) -> _Test:
    # `x = any('{}')` is false, and so its negation true, even of NULL.
    nothing = None if keys else False

    def test(value: Value) -> bool | None:
        return key_of(value) in keys if isinstance(value, bytes) else nothing

    return test


def _order_test(key_of: Callable[[bytes], Any], holds: Callable[..., bool], key: Any) -> _Test:
    def test(value: Value) -> bool | None:
        return holds(key_of(value), key) if isinstance(value, bytes) else None

    return test


def _equality_test(key_of: Callable[[bytes], Hashable], kind: Operator, key: Hashable) -> _Test:
    equal_means = kind is Operator.EQ
    null_means = True if kind is Operator.ISDISTINCT else None

    def test(value: Value) -> bool | None:
        if not isinstance(value, bytes):
            return null_means
        return (key_of(value) == key) is equal_means

    return test


def _like_test(condition: Condition) -> _Test | None:
    """LIKE as a row of fixed-width pieces between `%`, each found as far left as possible.

    A backslash escapes, and at the pattern's end is an error: such patterns are asked.
    """
    pattern = str(condition.value)
    if "\\" in pattern:
        return None
    first, *rest = [_piece(piece) for piece in pattern.split("%")]

    def test(value: Value) -> bool | None:
        if not isinstance(value, bytes):
            return None
        text = value.decode()
        if not rest:
            return first.fullmatch(text) is not None
        found = first.match(text)
        for piece in rest[:-1]:
            if found is None:
                return False
            found = piece.search(text, found.end())
        if found is None:
            return False
        tail = max(found.end(), len(text) - widths)
        return rest[-1].fullmatch(text, tail) is not None

    widths = len(pattern.rpartition("%")[2])
    return test


def _piece(text: str) -> re.Pattern[str]:
    return re.compile("".join("." if c == "_" else re.escape(c) for c in text), re.DOTALL)
