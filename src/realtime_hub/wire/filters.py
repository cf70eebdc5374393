"""The filter language of Supabase Realtime: `column=[not.]operator.value`, joined by commas.

All conditions must hold. A comma inside parentheses or double quotes belongs to a value. The
members of `in` follow the syntax of PostgreSQL's array literals, since Realtime puts them in
braces and casts them. What a condition means for a row stands in `wire.bound`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from realtime_hub.errors import FilterSyntaxError

MAX_MEMBERS: Final = 100
MAX_CONDITIONS: Final = 100
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
        """The condition as a filter, which parses to the same again.

        Only a column with parentheses or double quotes in its name may not.
        """
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
    conditions: list[Condition] = []
    for segment in _segments(text.strip()):
        if len(conditions) == MAX_CONDITIONS:
            raise FilterSyntaxError(f"too many conditions in a filter. Maximum {MAX_CONDITIONS}")
        conditions.append(_condition(segment.strip()))
    return tuple(conditions)


def _condition(segment: str) -> Condition:
    if not segment:
        raise FilterSyntaxError("empty filter segment (check for extra commas)")
    column, equals, rest = segment.partition("=")
    if not equals:
        raise FilterSyntaxError(f"filter without = in {_shown(segment)}")
    if not column or not _storable(column):
        raise FilterSyntaxError(f"invalid column for filter {_shown(column)}")
    negated = rest.startswith("not.")
    name, dot, value = rest.removeprefix("not.").partition(".")
    operator = _operator(name)
    if not dot:
        raise FilterSyntaxError(f"filter without a value in {_shown(segment)}")
    if not _storable(value):
        raise FilterSyntaxError("filter value has a character that PostgreSQL can't store")
    if operator is Operator.IN:
        return _in_condition(column, value, negated)
    value = _unquoted(value)
    if operator is Operator.IS and value not in _IS_VALUES:
        raise FilterSyntaxError(
            "invalid value for is filter: must be null, true, false, or unknown"
        )
    return Condition(column, operator, value, negated)


def _operator(name: str) -> Operator:
    try:
        return Operator(name)
    except ValueError:
        known = ", ".join(Operator)
        raise FilterSyntaxError(
            f"unknown operator {_shown(name)}; the operators are {known}"
        ) from None


def _storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text at all: no NUL, no lone surrogates."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


# Cutting a filter into its conditions

_special: Final = re.compile(r'[(),"]').search
_to_end_of_quotes: Final = re.compile(r'(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL).match


def _segments(text: str) -> Iterator[str]:
    """Cut at commas outside parentheses and quotes.

    A double quote opens only where a value may begin: after a dot, a parenthesis or a comma.
    Left open, it reaches to the end.
    """
    depth = start = position = 0
    while found := _special(text, position):
        position = found.end()
        match found.group():
            case "(":
                depth += 1
            case ")":
                depth = max(0, depth - 1)
            case "," if depth == 0:
                yield text[start : found.start()]
                start = position
            case '"' if found.start() > start and text[found.start() - 1] in ".(,":
                end = _to_end_of_quotes(text, position)
                position = len(text) if end is None else end.end()
    yield text[start:]


# Values

_quoted_value: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL).fullmatch
_unescape: Final = re.compile(r"\\(.)", re.DOTALL).sub


def _unquoted(text: str) -> str:
    found = _quoted_value(text)
    return text if found is None else _unescape(r"\1", found[1])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")[1:-1]


# Members of `in`

_SPACE: Final = " \t\n\r\v\f"
_member: Final = re.compile(
    rf'[{_SPACE}]*+(?:"((?:[^"\\]++|\\.)*+)"[{_SPACE}]*+|((?:[^"\\{{}},]++|\\.)++))(,|\Z)',
    re.DOTALL,
).match


def _in_condition(column: str, text: str, negated: bool) -> Condition:
    if len(text) < 2 or not (text.startswith("(") and text.endswith(")")):
        raise FilterSyntaxError("in needs parentheses, as in in.(a,b)")
    members: list[str | None] = []
    for member in _members(text[1:-1]):
        if len(members) == MAX_MEMBERS:
            raise FilterSyntaxError(f"too many values for `in` filter. Maximum {MAX_MEMBERS}")
        members.append(member)
    known = tuple(member for member in members if member is not None)
    if negated and len(known) < len(members):
        # `x <> all('{1,NULL}')` is never true; neither is `x = any('{}')`.
        return Condition(column, Operator.IN, ())
    return Condition(column, Operator.IN, known, negated)


def _members(text: str) -> Iterator[str | None]:
    """The elements of an array literal without its braces; None for NULL.

    Source: PostgreSQL documentation, "Array Input and Output Syntax", read as strictly as
    PostgreSQL 17 does.
    """
    if not text.strip(_SPACE):
        return
    position, more = 0, ","
    while more:
        found = _member(text, position)
        if found is None or (found[1] is None and not found[2].strip(_SPACE)):
            raise FilterSyntaxError(f"malformed list of values for in filter: ({_shown(text)})")
        yield _bare_member(found[2]) if found[1] is None else _unescape(r"\1", found[1])
        position, more = found.end(), found[3]


def _bare_member(text: str) -> str | None:
    stripped = text.rstrip(_SPACE)
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    if backslashes % 2:  # it escapes the space that follows
        stripped = text[: len(stripped) + 1]
    return None if stripped.upper() == "NULL" else _unescape(r"\1", stripped)
