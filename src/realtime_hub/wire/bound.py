"""A filter bound to one Table: what can be looked up, decided here, or only asked.

SQL's logic has three values: a condition on NULL is unknown, and so is its negation; neither
matches. A column that the row does not carry never matches.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from realtime_hub.changes import Absent, Row, Table, Value
from realtime_hub.wire.comparison import Comparison, KeyOf, comparison_of, like_is_certain
from realtime_hub.wire.filters import Condition, Operator
from realtime_hub.wire.patterns import like_matcher

_Test: TypeAlias = Callable[[bytes | None], bool | None]
"""SQL's verdict on one value: true, false or unknown."""

_ORDERED: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
}
_EQUALITY: Final = frozenset({Operator.EQ, Operator.NEQ, Operator.ISDISTINCT})


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
        """Whether all conditions hold that are not in `asked`.

        It is false too where the row lacks a column that a condition in `asked` reads, or has
        a NULL there that makes it unknown: such a row need not be asked about.
        """
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
    nothing. Where a column has got another type, so that a value is not of its form, the
    condition is asked.
    """
    tests: list[tuple[int, _Test, bool]] = []
    asked: list[Condition] = []
    index_keys: tuple[int, frozenset[Hashable]] | None = None
    for condition in conditions:
        column = table.index.get(condition.column)
        if column is None:
            return BoundFilter(None, (), (), _impossible=True)
        test = _test_for(condition, table, column)
        if test is None:
            asked.append(condition)
            tests.append((column, _answerable(condition.operator), True))
            continue
        tests.append((column, test, not condition.negated))
        keys = _index_keys(condition, table, column)
        if keys is not None and (index_keys is None or len(keys) < len(index_keys[1])):
            index_keys = column, keys
    return BoundFilter(index_keys, tuple(asked), tuple(tests))


def _index_keys(condition: Condition, table: Table, column: int) -> frozenset[Hashable] | None:
    if condition.negated or condition.operator not in (Operator.EQ, Operator.IN):
        return None
    if not condition.value and condition.operator is Operator.IN:
        return None
    comparison = comparison_of(table, column)
    keys = None if comparison is None else _keys(comparison, condition)
    return None if keys is None else frozenset(keys)


def _test_for(condition: Condition, table: Table, column: int) -> _Test | None:
    """The test for one condition; None if it must be asked."""
    kind = condition.operator
    if kind is Operator.IS:
        return _is_test(condition)
    if kind is Operator.IN and not condition.value:
        # `x = any('{}')` is false, and so its negation true, even of NULL.
        return lambda value: False
    if kind is Operator.LIKE:
        return _like_test(condition) if like_is_certain(table, column) else None
    comparison = comparison_of(table, column)
    keys = None if comparison is None else _keys(comparison, condition)
    if comparison is None or keys is None:
        return None
    if kind is Operator.IN:
        return _membership_test(comparison.key, frozenset(keys))
    if kind in _EQUALITY:
        return _equality_test(comparison.key, kind, keys[0])
    if kind in _ORDERED and comparison.ordered:
        return _order_test(comparison.key, _ORDERED[kind], keys[0])
    return None


def _keys(comparison: Comparison, condition: Condition) -> list[Hashable] | None:
    """The keys of a condition's values; None if one is not as its column prints it."""
    value = condition.value
    texts = [text.encode() for text in ((value,) if isinstance(value, str) else value)]
    if not all(comparison.printed(text) for text in texts):
        return None
    try:
        return [comparison.key(text) for text in texts]
    except OverflowError:  # a float8's text on a column that has become float4
        return None


def _answerable(kind: Operator) -> _Test:
    """Whether there is anything to ask: every operator but these two is unknown of NULL."""
    if kind in (Operator.IS, Operator.ISDISTINCT):
        return lambda value: True
    return lambda value: value is not None


def _is_test(condition: Condition) -> _Test:
    if condition.value in ("null", "unknown"):
        return lambda value: value is None
    wanted = b"t" if condition.value == "true" else b"f"
    return lambda value: value == wanted


def _membership_test(key_of: KeyOf, keys: frozenset[Hashable]) -> _Test:
    return lambda value: None if value is None else key_of(value) in keys


def _order_test(key_of: KeyOf, holds: Callable[[Any, Any], bool], key: Any) -> _Test:
    return lambda value: None if value is None else holds(key_of(value), key)


def _equality_test(key_of: KeyOf, kind: Operator, key: Hashable) -> _Test:
    equal_means = kind is Operator.EQ
    null_means = True if kind is Operator.ISDISTINCT else None

    def test(value: Value) -> bool | None:
        if not isinstance(value, bytes):
            return null_means
        return (key_of(value) == key) is equal_means

    return test


def _like_test(condition: Condition) -> _Test | None:
    matcher = like_matcher(str(condition.value))
    if matcher is None:
        return None
    return lambda value: None if value is None else matcher(value)
