"""Hubs that share one channel among many listeners: this project's own clients, and those that a
project has written for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from realtime_hub.scan.bindings import Listening, Listenings
from realtime_hub.scan.bound import Blocker, Env, Value
from realtime_hub.scan.channels import Draft
from realtime_hub.scan.model import ANY, CHANGES, Closing, Term
from realtime_hub.scan.scopes import Given
from realtime_hub.scan.surroundings import innermost
from realtime_hub.scan.syntax import Array, Call, CallSite, Expr, Import, Module, Name
from realtime_hub.scan.values import Values

PACKAGE: Final = re.compile(r"realtime[-_]hub\b")
MAKERS: Final = frozenset({"createHub", "getHub", "RealtimeHub", "SyncRealtimeHub", "connect"})

_KEPT: Final = re.compile(r"\b(?:new\s+)?(?:Weak)?(?:Map|Set)\b|\bdefaultdict\b|\bdict\b|\{\}|\[\]")
_LEAVING: Final = re.compile(
    r"\.delete\(|splice\(|\bdelete\s|\.pop\(|\.discard\(|\.remove\(|--|-="
    r"|\.filter\(\s*\(?\w+\)?\s*=>\s*\w+\s*!=="
)
_CLOSED: Final = re.compile(r"remove_?channel|unsubscribe", re.IGNORECASE)
_NONE_LEFT: Final = re.compile(
    r"(?:size|length|count\w*|refs?\w*|listeners?\w*|subscribers?\w*|consumers?|isEmpty)\)?\s*"
    r"(?:===?|<=?)\s*[01]\b|--\s*[\w.]+|[\w.\])]\s*--|-=\s*1|\.isEmpty\b|\bif\s+not\s+[\w.]+",
    re.IGNORECASE,
)


class Hubs:
    """Calls on hubs of this project's own clients."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._listenings = Listenings(values)

    def listenings(self) -> Iterator[Listening]:
        """One for each event of each `subscribe` and `useRealtime`."""
        for module in self._values.project.known:
            for site in module.calls:
                if len(site.call.arguments) >= 2 and self._is_ours(module, site.call):
                    yield from self._read(module, site)

    def _is_ours(self, module: Module, call: Call) -> bool:
        if call.method == "useRealtime" and isinstance(call.function, Name):
            meaning = self._values.meaning(module, call.function)
            return isinstance(meaning, Import) and bool(PACKAGE.match(meaning.module))
        if call.method not in {"subscribe", "stream"} or call.receiver is None:
            return False
        return any(
            isinstance(each.expr, Call)
            and PACKAGE.search(each.module.source)
            and not MAKERS.isdisjoint(re.findall(r"\w+", each.module.code(each.expr.function)))
            for each in self._values.reduce(Value(call.receiver, module))
        )

    def _read(self, module: Module, site: CallSite) -> Iterator[Listening]:
        call = site.call
        table, events = call.arguments[:2]
        options = call.argument(3)
        chosen = self._values.reduce(Value(events, module))
        items = [
            each.of(item)
            for each in chosen
            for item in (each.expr.items if isinstance(each.expr, Array) else (each.expr,))
        ]
        for item in items:
            yield self._listening(module, site, table, item, options)

    def _listening(
        self, module: Module, site: CallSite, table: Expr, event: Value, options: Expr | None
    ) -> Listening:
        def option(env: Env, name: str) -> Term:
            given = site.call.argument(-1, name)
            if given is not None:
                return self._listenings.term(Value(given, module, env), [])
            found = (
                None if options is None else self._values.field(Value(options, module, env), name)
            )
            return self._listenings.term(found[0], []) if found else Term()

        def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            first = self._listenings.term(Value(event.expr, event.module, env), blockers)
            named = self._listenings.term(Value(table, module, env), blockers)
            schema = option(env, "schema")
            return (
                Term(ANY) if first.text is None else first,
                Term("public") if schema.text is None else schema,
                named,
                option(env, "filter"),
            )

        handler = site.call.argument(2, "callback")
        return Listening(
            module, site.call, site.function, site.call.opening, CHANGES, fields, options, handler
        )


def is_shared(values: Values, draft: Draft, closings: Iterable[Closing]) -> bool:
    """The project's own hub: the table is given, listeners are kept in a collection, and the
    channel is closed when none is left."""
    if not any(_table_is_given(values, attached.listening) for attached in draft.attached):
        return False
    module = draft.module
    places = [draft.node.start]
    places += [each.call.start for each in closings if each.file == module.path]
    text = "\n".join(dict.fromkeys(_outermost(module, place) for place in places))
    kept = _KEPT.search(module.source) is not None
    return kept and all(each.search(text) for each in (_LEAVING, _NONE_LEFT, _CLOSED))


def _outermost(module: Module, offset: int) -> str:
    """The text of the class or function that holds an offset, and is itself in none."""
    around = list(module.enclosing(innermost(module, offset)))
    return module.source[around[-1].start : around[-1].end] if around else ""


def _table_is_given(values: Values, listening: Listening) -> bool:
    blockers: list[Blocker] = []
    binding = listening.binding({}, blockers)
    return not binding.table.proven and any(isinstance(each.meaning, Given) for each in blockers)
