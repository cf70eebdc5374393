"""What a channel's bindings become: calls of the hub."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from realtime_hub.migrate.model import LeftError
from realtime_hub.migrate.python.source import Source
from realtime_hub.scan.model import ANY, Binding, Channel
from realtime_hub.scan.vocabulary import EVENTS

_PARAMETERS: Final = ("event", "callback", "table", "schema", "filter", "select")
_PLAIN: Final = re.compile(r"[A-Za-z_]\w*")
_PUBLIC: Final = "public"
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Listener:
    """Arguments of `hub.subscribe`, as source text. kept: where those stand that are taken over."""

    table: str
    event: str
    handler: str
    named: Sequence[str]
    kept: Sequence[tuple[int, int]]

    def call(self, hub: str, payloads: str, indent: str, newline: str, column: int) -> str:
        """column: where it begins; indent: of its line."""
        arguments = [self.table, self.event, f"{payloads}({self.handler})", *self.named]
        flat = f"{hub}.subscribe({', '.join(arguments)})"
        if "\n" not in flat and column + len(flat) <= _WIDTH:
            return flat
        inner = f"{newline}{indent}{step_of(indent)}"
        lines = "".join(f"{inner}{argument}," for argument in arguments)
        return f"{hub}.subscribe({lines}{newline}{indent})"


def listener(source: Source, channel: Channel, call: ast.Call) -> Listener:
    """Raises LeftError for what the hub has no words for."""
    end = source.end(call)
    binding = next((each for each in channel.bindings if each.call.end == end), None)
    if binding is None:
        raise LeftError("it has bindings that can't be read")
    given = _arguments(call)
    if "callback" not in given:
        raise LeftError("a binding has no callback")
    event, table = binding.event.text, binding.table.text
    if event not in EVENTS and event != ANY:
        raise LeftError(f"{event} is no event")
    if table in (None, ANY) or "table" not in given:
        raise LeftError("it listens to all tables, and a hub to one at a time")
    if "select" in given and not _is_none(given["select"]):
        raise LeftError("it selects columns, and a hub may hand over more")
    spans = {name: source.argument(call, node) for name, node in given.items()}
    written = {name: source.text[start:end] for name, (start, end) in spans.items()}
    narrowed = "filter" in given and not _is_none(given["filter"])
    named = [f"filter={written['filter']}"] if narrowed else []
    quote = "'" if written["table"].startswith("'") else '"'
    text = _table(given, written, binding, quote)
    kept = list(spans.values())
    return Listener(text, f"{quote}{event}{quote}", written["callback"], named, kept)


def step_of(indent: str) -> str:
    return "\t" if "\t" in indent else "    "


def _arguments(call: ast.Call) -> dict[str, ast.expr]:
    if any(isinstance(each, ast.Starred) for each in call.args) or any(
        each.arg is None for each in call.keywords
    ):
        raise LeftError("a binding's arguments are unpacked")
    given = dict(zip(_PARAMETERS, call.args, strict=False))
    given |= {str(each.arg): each.value for each in call.keywords}
    if strange := given.keys() - set(_PARAMETERS):
        raise LeftError(f"a binding has {min(strange)}, which the hub has not")
    return given


def _table(
    given: dict[str, ast.expr], written: dict[str, str], binding: Binding, quote: str
) -> str:
    """The name where that says all, else the schema with it."""
    table, schema = given["table"], given.get("schema")
    name, place = binding.table.text or "", binding.schema.text or _PUBLIC
    if place == _PUBLIC and "." not in name:
        return written["table"]
    literal = isinstance(table, ast.Constant) and isinstance(schema, ast.Constant)
    if literal and _PLAIN.fullmatch(name) and _PLAIN.fullmatch(place):
        return f"{quote}{place}.{name}{quote}"
    return f"({written.get('schema', f'{quote}{place}{quote}')}, {written['table']})"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
