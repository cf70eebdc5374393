"""The filter language of Supabase Realtime: `column=[not.]operator.value`, joined by commas.

All conditions must hold. Commas inside parentheses or double quotes belong to a value. What a
condition means for a row is `wire.comparison`'s affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from realtime_hub.errors import FilterSyntaxError

MAX_MEMBERS: Final = 100
MAX_FILTER_LENGTH: Final = 65_536

_IS_VALUES: Final = ("null", "true", "false", "unknown")
_SHOWN: Final = 80


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    LIKE = "like"
    ILIKE = "ilike"
    IS = "is"
    MATCH = "match"
    IMATCH = "imatch"
    ISDISTINCT = "isdistinct"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a filter.

    value: text; for IN the members, for IS one of null, true, false, unknown.
    """

    column: str
    operator: Operator
    value: str | tuple[str, ...]
    negated: bool = False

    def __str__(self) -> str:
        """The condition as a filter, which parses to the same again."""
        negation = "not." if self.negated else ""
        if isinstance(self.value, tuple):
            value = "(" + ",".join(_quoted(member) for member in self.value) + ")"
        elif self.operator is Operator.IS:
            value = self.value
        else:
            value = _quoted(self.value)
        return f"{self.column}={negation}{self.operator}.{value}"


def parse_filter(text: str | None) -> tuple[Condition, ...]:
    """Read a filter; None and blank text mean none.

    >>> parse_filter("call_id=eq.42,estado=not.in.(activa,sonando)")[1].value
    ('activa', 'sonando')

    Raises:
        FilterSyntaxError: anything else than conditions joined by commas.
    """
    if text is None or not text.strip():
        return ()
    if len(text) > MAX_FILTER_LENGTH:
        raise FilterSyntaxError(f"filter is longer than {MAX_FILTER_LENGTH} characters")
    if "\0" in text:
        raise FilterSyntaxError("filter holds a NUL character")
    return tuple(_condition(segment) for segment in _split(text))


def _condition(segment: str) -> Condition:
    if not segment.strip():
        raise FilterSyntaxError("empty filter segment")
    column, equals, rest = segment.partition("=")
    column = column.strip()
    if not equals or not column:
        raise FilterSyntaxError(f"filter without = in {_shown(segment)}")
    negated = rest.startswith("not.")
    name, dot, value = rest.removeprefix("not.").partition(".")
    try:
        operator = Operator(name)
    except ValueError:
        raise FilterSyntaxError(
            f"unknown operator {_shown(name)}; there are {', '.join(Operator)}"
        ) from None
    if not dot:
        raise FilterSyntaxError(f"filter without a value in {_shown(segment)}")
    return Condition(column, operator, _value(operator, value), negated)


def _value(operator: Operator, text: str) -> str | tuple[str, ...]:
    if operator is Operator.IN:
        return _members(text)
    if operator is Operator.IS:
        value = text.strip().lower()
        if value not in _IS_VALUES:
            raise FilterSyntaxError(
                "invalid value for is filter: must be null, true, false, or unknown"
            )
        return value
    return _unquoted(text)


def _members(text: str) -> tuple[str, ...]:
    text = text.strip()
    if not (text.startswith("(") and text.endswith(")")) or len(text) < 2:
        raise FilterSyntaxError("in needs parentheses, as in in.(a,b)")
    inner = text[1:-1]
    members = [] if not inner.strip() else [_unquoted(m.strip()) for m in _split(inner)]
    if len(members) > MAX_MEMBERS:
        raise FilterSyntaxError(f"too many values for `in` filter. Maximum {MAX_MEMBERS}")
    return tuple(members)


_PIECE: Final = re.compile(r'(?:(?<=[.(,])|^)"(?:[^"\\]|\\.)*"|[(),]|[^"(),]+|"', re.DOTALL)
"""A quoted value, a parenthesis or comma, or a run of anything else. A quote opens a value
only where one may begin."""


def _split(text: str) -> Iterator[str]:
    """Cut at commas outside parentheses and quotes."""
    depth = start = 0
    for piece in _PIECE.finditer(text):
        match piece.group():
            case "(":
                depth += 1
            case ")":
                depth = max(0, depth - 1)
            case "," if depth == 0:
                yield text[start : piece.start()]
                start = piece.end()
    yield text[start:]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
