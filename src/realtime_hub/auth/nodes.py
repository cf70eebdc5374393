"""The parts of a compiled expression, and how larger ones are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from realtime_hub.auth.values import (
    BOOL,
    CLAIMS,
    COMPARISONS,
    JSONS,
    TEXT,
    TEXTS,
    Uncertain,
    common_key,
    conversion,
    json_member,
    json_path,
    json_text,
)
from realtime_hub.changes import Absent, Row

Claims: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Row, Claims], Any]
"""Gives a value as `auth.values` describes them."""

ALL_CLAIMS: Final = frozenset({""})
"""Reads more of the claims than single members of the top level."""


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled part. columns: indexes of the row's columns that it reads. claims: names of
    the claims that it reads, with "" for all of them. texts: those columns that bring a
    collation along."""

    type_oid: int
    evaluate: Evaluate
    columns: frozenset[int] = frozenset()
    claims: frozenset[str] = frozenset()
    constant: bool = False
    texts: frozenset[int] = frozenset()


def joined(type_oid: int, evaluate: Evaluate, parts: Sequence[Node]) -> Node:
    return Node(
        type_oid,
        evaluate,
        frozenset[int]().union(*(part.columns for part in parts)),
        frozenset[str]().union(*(part.claims for part in parts)),
        texts=frozenset[int]().union(*(part.texts for part in parts)),
    )


def collated(parts: Sequence[Node]) -> None:
    """PostgreSQL raises where texts of several collations meet, and columns may differ in it."""
    texts = frozenset[int]().union(*(part.texts for part in parts if part.type_oid in TEXTS))
    if len(texts) > 1:
        raise Uncertain("collation")


def fixed(type_oid: int, value: Any) -> Node:
    return Node(type_oid, lambda _row, _claims: value, constant=True)


def reading(index: int, read: Callable[[bytes], Any]) -> Evaluate:
    def evaluate(row: Row, _claims: Claims) -> Any:
        value = row[index]
        if isinstance(value, Absent):
            raise Uncertain("the change lacks a column")
        return None if value is None else read(value)

    return evaluate


def claim(name: str) -> Evaluate:
    """`claims ->> name`."""
    return lambda _row, claims: json_text(claims.get(name))


def negated(inner: Evaluate) -> Evaluate:
    def evaluate(row: Row, claims: Claims) -> bool | None:
        value = inner(row, claims)
        return None if value is None else not value

    return evaluate


def folded(tests: Sequence[Evaluate], decisive: bool) -> Evaluate:
    """OR (decisive: true) or AND (decisive: false) of all tests.

    All are looked at: PostgreSQL may evaluate them in any order, and raise.
    """
    return lambda row, claims: decided([test(row, claims) for test in tests], decisive)


def decided(values: Sequence[bool | None], decisive: bool) -> bool | None:
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def compared(left: Node, right: Node, name: str) -> Node:
    holds = COMPARISONS[name]
    key = common_key(left.type_oid, right.type_oid, ordered=name not in ("=", "<>"))
    collated([left, right])
    first, second = left.evaluate, right.evaluate

    def evaluate(row: Row, claims: Claims) -> bool | None:
        a, b = first(row, claims), second(row, claims)
        return None if a is None or b is None else holds(key(a), key(b))

    return joined(BOOL, evaluate, [left, right])


def distinct(left: Node, right: Node, wanted: bool) -> Node:
    key = common_key(left.type_oid, right.type_oid, ordered=False)
    collated([left, right])
    first, second = left.evaluate, right.evaluate

    def evaluate(row: Row, claims: Claims) -> bool:
        a, b = first(row, claims), second(row, claims)
        if a is None or b is None:
            return (a is not b) is wanted
        return (key(a) != key(b)) is wanted

    return joined(BOOL, evaluate, [left, right])


def member(left: Node, right: Node, as_text: bool) -> Node:
    if left.type_oid not in JSONS or right.type_oid not in TEXTS or not right.constant:
        raise Uncertain("JSON member")
    name = right.evaluate((), {})
    if name is None:
        raise Uncertain("JSON member")
    return _looked_up(left, [name.decode()], as_text)


def at_path(left: Node, path: list[str], as_text: bool) -> Node:
    if left.type_oid not in JSONS:
        raise Uncertain("JSON path")
    return _looked_up(left, path, as_text)


def _looked_up(left: Node, path: list[str], as_text: bool) -> Node:
    inner = left.evaluate
    find = _first_member if len(path) == 1 else json_path

    def evaluate(row: Row, claims: Claims) -> Any:
        value = inner(row, claims)
        found = None if value is None else find(value, path)
        return json_text(found) if as_text else found

    node = joined(TEXT if as_text else left.type_oid, evaluate, [left])
    # `auth.jwt() -> name` reads one claim, if it reads the claims at all.
    whole = left.claims == ALL_CLAIMS and not left.columns and inner((), _PROBE) is _PROBE
    return replace(node, claims=frozenset({path[0]})) if whole and path else node


_PROBE: Final[Claims] = {"probe": True}


def _first_member(value: Any, path: list[str]) -> Any:
    return json_member(value, path[0])


def cast(node: Node, target: int) -> Node:
    if target in JSONS and node.type_oid in TEXTS and node.claims == ALL_CLAIMS:
        return replace(node, type_oid=target, evaluate=_claims_as_json(node.evaluate))
    convert = conversion(node.type_oid, target)
    inner = node.evaluate

    def evaluate(row: Row, claims: Claims) -> Any:
        value = inner(row, claims)
        return None if value is None else convert(value)

    return replace(node, type_oid=target, evaluate=evaluate)


def _claims_as_json(inner: Evaluate) -> Evaluate:
    def evaluate(row: Row, claims: Claims) -> Any:
        if inner(row, claims) is CLAIMS:
            return claims
        raise Uncertain("text as JSON")

    return evaluate
