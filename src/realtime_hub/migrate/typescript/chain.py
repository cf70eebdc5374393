"""Chains of calls on a channel, and what their bindings say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.migrate.model import LeftError
from realtime_hub.migrate.typescript.tree import Tree, arguments, end, start
from realtime_hub.scan.model import ANY, CHANGES, Binding, Channel, Span
from realtime_hub.scan.vocabulary import EVENTS

_FIELDS: Final = frozenset({"event", "schema", "table", "filter"})
_CASTS: Final = frozenset({"as_expression", "satisfies_expression", "parenthesized_expression"})
_FIXED: Final = frozenset({"string", "identifier", "member_expression"})


@dataclass(frozen=True, slots=True)
class Link:
    """One call of a chain. dot: offset where its method's dot, or what is before it, begins."""

    method: str
    call: SgNode
    dot: int


@dataclass(frozen=True, slots=True)
class Listener:
    """A binding, as a subscription of a hub needs it; all but the link are source text."""

    link: Link
    table: str
    event: str
    options: str
    handler: Span
    generics: str
    comments: Sequence[str] = ()


def links(call: SgNode) -> tuple[SgNode, list[Link]]:
    """What a chain begins with, and its calls from the first to the last."""
    found: list[Link] = []
    node = call
    while node.kind() == "call_expression":
        function = node.field("function")
        if function is None or function.kind() != "member_expression":
            break
        base, name = function.field("object"), function.field("property")
        if base is None or name is None:
            break
        found.append(Link(name.text(), node, end(base)))
        node = base
    return node, found[::-1]


def listener(tree: Tree, channel: Channel, link: Link) -> Listener:
    """Read one `.on(...)`.

    Raises:
        LeftError: it can't be put as a subscription.
    """
    binding = next((b for b in channel.bindings if b.call.end == end(link.call)), None)
    given = arguments(link.call)
    if binding is None or len(given) != 3 or any(n.kind() == "spread_element" for n in given):
        raise LeftError(f"a binding can't be read (line {tree.line(end(link.call))})")
    event, schema, table, narrowed = _fields(binding, given)
    quote = given[0].text()[0] if given[0].kind() == "string" else "'"
    kinds = link.call.field("type_arguments")
    extra = [f"schema: {schema}"] if schema else []
    if narrowed:
        extra.append("filter" if narrowed == "filter" else f"filter: {narrowed}")
    return Listener(
        link,
        table,
        f"{quote}{event}{quote}",
        "{ " + ", ".join(extra) + " }" if extra else "",
        Span(start(given[2]), end(given[2])),
        "" if kinds is None else kinds.text(),
    )


def _fields(binding: Binding, given: Sequence[SgNode]) -> tuple[str, str, str, str]:
    """Event, schema, table and filter; an empty schema means `public`."""
    if binding.kind != CHANGES:
        raise LeftError(f"it also uses {binding.kind} (line {binding.line})")
    for name in ("event", "schema", "table"):
        term = getattr(binding, name)
        if not term.proven:
            raise LeftError(f"its {name} is known only when it runs: {term.text}")
    if binding.table.text in {None, ANY} or binding.schema.text == ANY:
        raise LeftError(f"it listens to all tables of a schema (line {binding.line})")
    if binding.event.text not in EVENTS:
        raise LeftError(f"there is no event {binding.event.text!r}")
    written = _written(given[1])
    unknown = written.keys() - _FIELDS
    if unknown:
        raise LeftError(f"the hub has no option {min(unknown)!r}")
    schema = "" if binding.schema.text == "public" else _source(written, binding, "schema")
    narrowed = "" if binding.filter.text is None else _source(written, binding, "filter")
    return str(binding.event.text), schema, _source(written, binding, "table"), narrowed


def _source(written: dict[str, SgNode], binding: Binding, name: str) -> str:
    term = getattr(binding, name)
    node = written.get(name)
    if node is not None and (name == "filter" or node.kind() in _FIXED):
        return node.text()
    if not term.proven:
        raise LeftError(f"its {name} is put together elsewhere: {term.text}")
    return "'" + json.dumps(term.text, ensure_ascii=False)[1:-1].replace("'", "\\'") + "'"


def _written(options: SgNode) -> dict[str, SgNode]:
    """Fields of an object that stands in the call itself."""
    while options.kind() in _CASTS:
        options = options.children()[1 if options.kind() == "parenthesized_expression" else 0]
    found: dict[str, SgNode] = {}
    if options.kind() != "object":
        return found
    for each in options.children():
        match each.kind():
            case "pair":
                key, value = each.field("key"), each.field("value")
                if key is not None and value is not None:
                    found[key.text().strip("'\"")] = value
            case "shorthand_property_identifier":
                found[each.text()] = each
            case "spread_element" | "method_definition":
                return {}
    return found


def comments(node: SgNode, kept: Sequence[Span]) -> list[tuple[int, str]]:
    """Comments within a node that are not part of what is kept: offset and text."""
    return [
        (start(each), each.text())
        for each in node.find_all(kind="comment")
        if not any(span.start <= start(each) < span.end for span in kept)
    ]
