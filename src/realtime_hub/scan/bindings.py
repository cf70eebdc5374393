"""What a listening call listens to, field by field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from realtime_hub.scan.bound import CHOSEN, Blocker, Env, Value
from realtime_hub.scan.expansion import Expanded, Expansion
from realtime_hub.scan.frames import Frame, bindings_of
from realtime_hub.scan.model import ANY, CHANGES, Binding, Span, Term
from realtime_hub.scan.syntax import (
    Array,
    Call,
    CallSite,
    Expr,
    Lambda,
    Literal,
    Member,
    Module,
    Name,
    Node,
    Record,
    Spread,
    Template,
)
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import EVENTS, FILTER_TYPES, KINDS, METHODS

_FIELDS: Final = ("event", "schema", "table", "filter")
_NARROWING: Final = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "inFilter"})
_PYTHON: Final = ("event", "callback", "table", "schema", "filter")


@dataclass(frozen=True, slots=True)
class Listening:
    """A call that listens, before its parameters are known. node: the call, up to its end.
    function: that it stands in. fields: event, schema, table, filter as far as bound."""

    module: Module
    node: Node
    function: int
    opening: int
    kind: str
    fields: Callable[[Env, list[Blocker]], tuple[Term, ...]]
    options: Expr | None
    handler: Expr | None

    def binding(self, env: Env, blockers: list[Blocker] | None = None) -> Binding:
        """What it listens to; blockers: gets the variables that its unknown fields hang on."""
        event, schema, table, narrowed = self.fields(env, [] if blockers is None else blockers)
        return Binding(
            self.module.path,
            self.node.line,
            self.kind,
            event,
            schema,
            table,
            narrowed,
            Span(self.node.start, self.node.end),
            self.opening,
            _span(self.options),
            _span(self.handler),
        )


class Listenings:
    """Recognises listening calls."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def read(self, module: Module, site: CallSite) -> Listening | None:
        """None: it is no such call."""
        call = site.call
        if call.method in METHODS:
            return self._method(module, site)
        if call.method == "on" and call.receiver is not None and call.arguments:
            return self._on(module, site, call)
        return None

    def _on(self, module: Module, site: CallSite, call: Call) -> Listening | None:
        first = call.arguments[0]
        if isinstance(first, Spread):
            return self._spread(module, site, first)
        if isinstance(first, Literal) and first.value not in KINDS | EVENTS:
            return None
        kind = self._values.text(Value(first, module)) or self._unknown_kind(module, call)
        if kind in KINDS and len(call.arguments) > 1:
            if isinstance(call.arguments[1], Lambda):
                return None  # of an emitter of events
            options = call.arguments[1]
            handler = call.arguments[2] if len(call.arguments) > 2 else None

            def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
                return self._options(Value(options, module, env), kind, blockers)

            return _listening(module, site, kind, fields, options, handler)
        if kind in EVENTS or (kind is None and self._is_first_version(module, call)):
            return self._first_version(module, site, call)
        return None

    def _spread(self, module: Module, site: CallSite, spread: Spread) -> Listening | None:
        """`on(...given)`, whose items are the arguments; open where they are not known."""
        found = self._values.reduce(Value(spread.value, module))
        items: list[Value] = []
        if len(found) == 1 and isinstance(found[0].expr, Array):
            items = [found[0].of(item) for item in found[0].expr.items]
        kind = self._values.text(items[0]) if items else CHANGES
        if kind not in KINDS or len(items) == 1:
            return None

        def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            if items:
                options = Value(items[1].expr, items[1].module, {**items[1].env, **env})
                return self._options(options, kind, blockers)
            given = Term(module.code(spread), False)
            return given, given, given, Term()

        return _listening(module, site, kind, fields, None, None)

    def _is_first_version(self, module: Module, call: Call) -> bool:
        """`from(table).on(event, handler)`, whose event only running code knows."""
        receiver = call.receiver
        if receiver is None or len(call.arguments) != 2:
            return False
        starts = self._values.reduce(Value(receiver, module))
        return any(isinstance(each.expr, Call) and each.expr.method == "from" for each in starts)

    def _unknown_kind(self, module: Module, call: Call) -> str | None:
        """`on(type, { table, ... }, handler)`: only changes have tables."""
        if len(call.arguments) != 3:
            return None
        options = self._values.reduce(Value(call.arguments[1], module))
        named = any(isinstance(each.expr, Record) and each.expr.get("table") for each in options)
        return CHANGES if named else None

    def _first_version(self, module: Module, site: CallSite, call: Call) -> Listening | None:
        """`from('schema:table:filter').on(event, handler)`, or of a channel with such a topic."""
        origin = self._origin(Value(call.receiver or call, module))
        if origin is None:
            return None
        event, topic = call.arguments[0], origin.expr
        handler = call.arguments[1] if len(call.arguments) > 1 else None

        def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            first = self.term(Value(event, module, env), blockers)
            return (first, *self._topic(Value(topic, origin.module, env), blockers))

        return _listening(module, site, CHANGES, fields, None, handler)

    def _origin(self, receiver: Value) -> Value | None:
        """The text that names the table."""
        for each in self._values.reduce(receiver):
            call = each.expr
            if not isinstance(call, Call) or not call.arguments:
                continue
            if call.method == "from":
                return each.of(call.arguments[0])
            topic = self._values.text(each.of(call.arguments[0]))
            named = call.method in {"channel", "set_channel"}
            if named and topic and topic.startswith("realtime:"):
                return each.of(call.arguments[0])
        return None

    def _topic(self, topic: Value, blockers: list[Blocker]) -> tuple[Term, Term, Term]:
        text = self._values.text(topic, blockers)
        if text is None:
            return self._dynamic_topic(topic, blockers)
        names, narrowed = _split(text.removeprefix("realtime:"))
        schema, _, table = names.rpartition(":")
        schema = schema or (ANY if table == ANY else "public")
        return Term(schema), Term(table), Term(narrowed)

    def _dynamic_topic(self, topic: Value, blockers: list[Blocker]) -> tuple[Term, Term, Term]:
        """A template whose known beginning names the table: `messages:room=eq.${id}`."""
        for each in self._values.reduce(topic):
            parts = each.expr.parts if isinstance(each.expr, Template) else ()
            known = self._known(each, parts)
            head = "".join(known)
            if ":" not in head:
                continue
            names, narrowed = _split(head)
            schema, _, table = names.removeprefix("realtime:").rpartition(":")
            if head.endswith(":") and not schema:  # realtime:public:${table}
                return Term(table), self.term(each.of(parts[len(known)]), blockers), Term()
            behind = each.module.source[parts[len(known) - 1].end : each.expr.end]
            rest = head[len(names) + 1 :] + behind.lstrip(" +'\"`").rstrip("'\"`")
            written = Term() if narrowed is None else Term(f"`{rest}`", False)
            return Term(schema or "public"), Term(table), written
        return Term("public"), Term(topic.code, False), Term()

    def _known(self, template: Value, parts: Sequence[Expr]) -> list[str]:
        """The texts of the parts that it begins with, as far as they are known."""
        found: list[str] = []
        for part in parts:
            text = self._values.text(template.of(part))
            if text is None:
                break
            found.append(text)
        return found

    def _method(self, module: Module, site: CallSite) -> Listening:
        call = site.call
        kind, fixed = METHODS[call.method]
        python = "_" in call.method
        names = _PYTHON if python and kind == CHANGES else ("event", "callback")
        handler = call.argument(1 if python and fixed is None else 0, "callback")

        def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            if fixed is not None:
                return Term(fixed), Term(), Term(), Term()
            given = {name: self._argument(call, names, name, python) for name in _FIELDS}
            options = call.argument(-1, "**")
            if kind == CHANGES and options is not None:
                unpacked = Value(options, module, env)
                given = {
                    name: each or self._unpacked(unpacked, name) for name, each in given.items()
                }
            found = {
                name: Term() if value is None else self.term(Value(value, module, env), blockers)
                for name, value in given.items()
                if name != "filter"
            }
            narrowed = given["filter"]
            value = None if narrowed is None else Value(narrowed, module, env)
            terms = (*found.values(), self._filter(value, []))
            return self._defaults(kind, terms)

        return _listening(module, site, kind, fields, None, handler)

    def _unpacked(self, options: Value, name: str) -> Expr | None:
        """`on_postgres_changes("*", **options)`: the field of that name, if there may be one."""
        if self._values.field(options, name) is None:
            return None
        expr = options.expr
        return Member(expr.start, expr.end, expr.line, expr, name)

    @staticmethod
    def _argument(call: Call, names: Sequence[str], name: str, positional: bool) -> Expr | None:
        place = names.index(name) if positional and name in names else -1
        return call.argument(place, name)

    def joined(self, frame: Frame, module: Module) -> list[tuple[Listening, Expanded]]:
        """What a join written by hand listens to; the first protocol names it in the topic."""

        def topic(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            return (Term(ANY), *self._topic(Value(frame.topic, module, env), blockers))

        def evaluate(env: Env, blockers: list[Blocker]) -> list[Value] | None:
            if frame.payload is None:
                return None
            return bindings_of(Value(frame.payload, module, env), self._values, blockers)

        found = []
        for items, way in Expansion(self._values).all(evaluate):
            found += [(self._item(item, frame.function), way) for item in items or ()]
            if items is None and self._is_legacy(Value(frame.topic, module, way.env)):
                whole = (module, frame.node, frame.function, 0, CHANGES, topic, None, None)
                found.append((Listening(*whole), way))
        return found

    def _is_legacy(self, topic: Value) -> bool:
        """`realtime:schema:table`, which asks for changes by itself."""
        for each in self._values.reduce(topic):
            parts = each.expr.parts if isinstance(each.expr, Template) else (each.expr,)
            head = parts[0].value if isinstance(parts[0], Literal) else None
            if isinstance(head, str) and head.startswith("realtime:") and head.count(":") > 1:
                return True
        return False

    def _item(self, item: Value, function: int) -> Listening:
        def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            given = Value(item.expr, item.module, {**item.env, **env})
            return self._options(given, CHANGES, blockers)

        return Listening(item.module, item.expr, function, 0, CHANGES, fields, item.expr, None)

    def stream(self, module: Module, site: CallSite) -> Listening:
        """Dart's `from(table).stream(primaryKey: ...).eq(column, value)`."""
        call = site.call
        origin = call.receiver
        table = origin.argument(0) if isinstance(origin, Call) else None
        narrowing = _narrowing(module, call)

        def fields(env: Env, blockers: list[Blocker]) -> tuple[Term, ...]:
            named = Term(module.code(call), False)
            if table is not None:
                named = self.term(Value(table, module, env), blockers)
            return Term(ANY), Term("public"), named, self._narrowed(narrowing, module, env)

        return _listening(module, site, CHANGES, fields, None, None)

    def _narrowed(self, narrowing: Call | None, module: Module, env: Env) -> Term:
        if narrowing is None or len(narrowing.arguments) != 2:
            return Term()
        column, operand = (Value(each, module, env) for each in narrowing.arguments)
        name, value = self._values.text(column), self._values.text(operand)
        operator = FILTER_TYPES.get(narrowing.method, narrowing.method)
        if name is None or value is None:
            return Term(f"{name or column.code}={operator}.{value or operand.code}", False)
        return Term(f"{name}={operator}.{value}")

    # Fields

    def _options(self, options: Value, kind: str, blockers: list[Blocker]) -> tuple[Term, ...]:
        names = _FIELDS if kind == CHANGES else ("event",)
        # What a filter hangs on differs from row to row: callers need not be asked for it.
        found = [self._field(options, n, [] if n == "filter" else blockers) for n in names]
        terms = (*found, *[Term()] * (len(_FIELDS) - len(found)))
        return self._defaults(kind, terms)

    @staticmethod
    def _defaults(kind: str, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        if kind != CHANGES:
            return terms
        event, schema, table, narrowed = terms
        event = Term(ANY) if event.text is None else event
        return event, Term("public") if schema.text is None else schema, table, narrowed

    def _field(self, options: Value, name: str, blockers: list[Blocker]) -> Term:
        values = self._values.field(options, name)
        if values is None:
            return Term()
        if not values:
            self._values.text(options, blockers)
            return Term(f"{options.code}.{name}", False)
        term = self._term(values, options.env, blockers)
        return term if term.proven else Term(self._written(options, name) or term.text, False)

    def _written(self, options: Value, name: str) -> str | None:
        """A field as the source has it, but for the name or field of a template: it says more."""
        for each in self._values.reduce(options):
            found = each.expr.get(name) if isinstance(each.expr, Record) else None
            if found is None:
                continue
            values = self._values.reduce(each.of(found))
            template = len(values) == 1 and isinstance(values[0].expr, Template)
            if not template or values[0].expr is found:
                return each.of(found).code
            chosen = any(key[2] == CHOSEN for key in values[0].env)
            if chosen and not isinstance(found, Name | Member):
                return each.of(found).code
        return None

    def term(self, value: Value, blockers: list[Blocker]) -> Term:
        return self._term([value], value.env, blockers)

    def _term(self, values: Sequence[Value], env: Env, blockers: list[Blocker]) -> Term:
        found = [each for value in values for each in self._values.reduce(value)]
        text = self._values.common_text(found, env, blockers)
        return Term(values[0].code, False) if text is None else Term(text)

    def _filter(self, value: Value | None, blockers: list[Blocker]) -> Term:
        """Text, a `PostgresChangeFilter(type, column, value)`, or a `ChannelFilter`'s text."""
        if value is None:
            return Term()
        found = self._values.reduce(value)
        for each in found:
            call = each.expr
            if isinstance(call, Call) and call.method == "PostgresChangeFilter":
                return self._change_filter(each, call, blockers)
        return self.term(value, blockers) if found else Term()

    def _change_filter(self, made: Value, call: Call, blockers: list[Blocker]) -> Term:
        parts = [call.argument(-1, name) for name in ("column", "type", "value")]
        if None in parts:
            return Term(made.code, False)
        column, kind, operand = (made.of(part) for part in parts if part is not None)
        name = self._values.text(column, blockers)
        value = self._values.text(operand, blockers)
        operator = kind.expr.name if isinstance(kind.expr, Member) else None
        if name is None or operator is None:
            return Term(made.code, False)
        written = f"{name}={FILTER_TYPES.get(operator, operator)}."
        if value is None:
            return Term(f"{written}{operand.code}", False)
        return Term(written + value)


def _listening(
    module: Module,
    site: CallSite,
    kind: str,
    fields: Callable[[Env, list[Blocker]], tuple[Term, ...]],
    options: Expr | None,
    handler: Expr | None,
) -> Listening:
    call = site.call
    return Listening(module, call, site.function, call.opening, kind, fields, options, handler)


def _narrowing(module: Module, inner: Call) -> Call | None:
    """The filter behind a stream, if there is one."""
    for site in module.calls:
        if site.call.receiver is inner and site.call.method in _NARROWING:
            return site.call
    return None


def _split(topic: str) -> tuple[str, str | None]:
    """`schema:table` and the filter behind it."""
    names, colon, last = topic.rpartition(":")
    if colon and "=" in last:
        return names, last
    return (names, None) if colon and not last else (topic, None)


def _span(expr: Expr | None) -> Span | None:
    return None if expr is None else Span(expr.start, expr.end)
