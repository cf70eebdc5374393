"""Joins written by hand: `{ event: 'phx_join', topic, payload }`, or the same as a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from realtime_hub.scan.bound import Blocker, Value
from realtime_hub.scan.syntax import Array, Call, Expr, Lambda, Literal, Module, walk
from realtime_hub.scan.values import Values

JOIN: Final = "phx_join"


@dataclass(frozen=True, slots=True)
class Frame:
    """A join."""

    node: Expr
    function: int
    topic: Expr
    payload: Expr | None


def frames(module: Module) -> Iterator[Frame]:
    """All joins of a module."""
    if JOIN not in module.text:
        return
    for record, function in module.records:
        topic = record.get("topic")
        if topic is not None and _is_join(record.get("event")):
            yield Frame(record, function, topic, record.get("payload"))
    for array, function in _arrays(module):
        place = next((n for n, each in enumerate(array.items) if _is_join(each)), 0)
        if place:
            payload = array.items[place + 1] if place + 1 < len(array.items) else None
            yield Frame(array, function, array.items[place - 1], payload)


def _arrays(module: Module) -> Iterator[tuple[Array, int]]:
    parts = [(each, site.function) for site in module.calls for each in site.call.arguments]
    parts += [(write.value, write.function) for write in module.assignments if write.value]
    seen = set()
    for part, function in parts:
        for each in walk(part):
            if isinstance(each, Array) and each.start not in seen:
                seen.add(each.start)
                yield each, function


def _is_join(expr: Expr | None) -> bool:
    return isinstance(expr, Literal) and expr.value == JOIN


def bindings_of(payload: Value, values: Values, blockers: list[Blocker]) -> list[Value] | None:
    """The objects that a join's configuration lists; None if it has no such list."""
    found = [payload]
    for name in ("config", "postgres_changes"):
        for each in found:
            if values.field(each, name) == []:
                values.text(each, blockers)
        found = [each for one in found for each in values.field(one, name) or ()]
    items = []
    for each in found:
        match each.expr:
            case Array(items=listed):
                items += [each.of(item) for item in listed]
            case Call(method="map", arguments=(Lambda(function=number), *_)):
                items += [each.of(made) for made in each.module.functions[number].returns]
    return items if found else None
