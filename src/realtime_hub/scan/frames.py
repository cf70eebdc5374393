"""Joins written by hand: `{ event: 'phx_join', topic, payload }`, or the same as a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from realtime_hub.scan.syntax import Array, Expr, Literal, Module, walk
from realtime_hub.scan.values import Value, Values

JOIN: Final = "phx_join"


@dataclass(frozen=True, slots=True)
class Frame:
    """A join. bindings: the objects of its configuration; None if it has none."""

    node: Expr
    function: int
    topic: Expr
    bindings: list[Value] | None


def frames(module: Module, values: Values) -> Iterator[Frame]:
    """All joins of a module."""
    if JOIN not in module.text:
        return
    for record, function in module.records:
        topic = record.get("topic")
        if topic is not None and _is_join(record.get("event")):
            payload = record.get("payload")
            yield Frame(record, function, topic, _bindings(values, module, payload))
    for array, function in _arrays(module):
        place = next((n for n, each in enumerate(array.items) if _is_join(each)), 0)
        if place:
            payload = array.items[place + 1] if place + 1 < len(array.items) else None
            found = _bindings(values, module, payload)
            yield Frame(array, function, array.items[place - 1], found)


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


def _bindings(values: Values, module: Module, payload: Expr | None) -> list[Value] | None:
    found = [] if payload is None else [Value(payload, module)]
    for name in ("config", "postgres_changes"):
        found = [each for one in found for each in values.field(one, name) or ()]
    items = [
        each.of(item) for each in found if isinstance(each.expr, Array) for item in each.expr.items
    ]
    return items if found else None
