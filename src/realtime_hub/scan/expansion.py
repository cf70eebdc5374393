"""What parameters and loop variables are bound to: by callers, loops, and calls such as `map`; and
which of several options is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from realtime_hub.scan.bound import CHOSEN, Blocker, Env, Key, Value
from realtime_hub.scan.model import Place
from realtime_hub.scan.scopes import Given, Looped
from realtime_hub.scan.syntax import (
    Array,
    Call,
    CallSite,
    Choice,
    Expr,
    Lambda,
    Literal,
    Module,
    Path,
    Record,
    Spread,
)
from realtime_hub.scan.values import Values

T = TypeVar("T")

_DEPTH: Final = 8
_MOST: Final = 400
_EACH: Final = frozenset({"forEach", "map", "flatMap", "filter", "each", "expand", "some", "every"})
_ADDING: Final = frozenset({"push", "unshift", "append", "add"})
_PARTS: Final = frozenset({"entries", "keys", "values", "items"})
_COPIES: Final = frozenset({"from", "list", "tuple", "sorted", "set", "toList", "toSet", "freeze"})


@dataclass(frozen=True, slots=True)
class Expanded:
    """One way through callers and loops. sites: calls passed, the outermost last."""

    env: Env
    sites: tuple[tuple[Module, CallSite], ...] = ()

    def place(self, module: Module, line: int) -> Place:
        """Where it is brought about: the outermost call, or the place itself."""
        if not self.sites:
            return Place(module.path, line)
        caller, site = self.sites[-1]
        return Place(caller.path, site.call.line)


class Expansion:
    def __init__(self, values: Values) -> None:
        self._values = values
        self._listed: set[tuple[str, int, int]] = set()
        self._passing: set[tuple[str, int, int]] = set()

    def all(
        self, evaluate: Callable[[Env, list[Blocker]], T], start: Expanded | None = None
    ) -> list[tuple[T, Expanded]]:
        """What it comes to in every binding of the variables that it hangs on."""
        found: list[tuple[T, Expanded]] = []
        for pair in self._ways(evaluate, start or Expanded({}), _DEPTH):
            found.append(pair)
            if len(found) >= _MOST:
                break
        return found

    def _ways(
        self, evaluate: Callable[[Env, list[Blocker]], T], way: Expanded, depth: int
    ) -> Iterator[tuple[T, Expanded]]:
        blockers: list[Blocker] = []
        result = evaluate(way.env, blockers)
        # A choice may be decided by what a loop or a caller gives.
        blockers.sort(key=lambda each: isinstance(each.meaning, Choice))
        for blocker in blockers if depth else ():
            ways = self._bound(blocker, way)
            if ways:
                for each in ways:
                    yield from self._ways(evaluate, each, depth - 1)
                return
        yield result, way

    def _bound(self, blocker: Blocker, way: Expanded) -> list[Expanded]:
        match blocker.meaning:
            case Looped():
                return self._looped(blocker, blocker.meaning, way)
            case Given():
                lambda_ = self._iterated(blocker, blocker.meaning, way)
                return lambda_ or self._called(blocker, blocker.meaning, way)
            case Choice():
                return self._chosen(blocker, blocker.meaning, way)

    @staticmethod
    def _chosen(blocker: Blocker, choice: Choice, way: Expanded) -> list[Expanded]:
        """Each option; of two choices that are not within each other it is not known which options
        go together."""
        if not all(_is_around(key, blocker) for key in way.env if key[2] == CHOSEN):
            return []
        options = [Value(each, blocker.module, way.env) for each in choice.options]
        return [Expanded({**way.env, blocker.key: each}, way.sites) for each in options]

    # Loops

    def _looped(self, blocker: Blocker, meaning: Looped, way: Expanded) -> list[Expanded]:
        loop = meaning.loop
        iterable = Value(loop.iterable, blocker.module, way.env)
        if ways := self._through(iterable, way):
            return ways
        items = self.keys(iterable) if loop.keys else self.items(iterable)
        if items is None:
            return []
        targets = [
            (Blocker(blocker.module, Looped(loop, name, path)).key, path)
            for name, path in loop.targets
        ]
        return self._each(items, targets, blocker, way)

    def _each(
        self,
        items: Iterable[Value],
        targets: Iterable[tuple[Key, Path]],
        blocker: Blocker,
        way: Expanded,
    ) -> list[Expanded]:
        """One way for each item; what an item lacks of other variables is known to be absent."""
        found = []
        for item in items:
            env = dict(way.env)
            for key, path in targets:
                taken = self._values.taken(item, path)
                if taken is not None:
                    env[key] = taken
                elif key != blocker.key:
                    env[key] = _absent(item)
            found.append(Expanded(env, way.sites))
        return found if all(blocker.key in each.env for each in found) else []

    def items(self, iterable: Value) -> list[Value] | None:
        """Those of a list that is written out, or of an object's entries; None if not known."""
        key = (iterable.module.path, iterable.expr.start, iterable.expr.end)
        if key in self._listed:  # `list = list.filter(f)` has no items of its own
            return None
        self._listed.add(key)
        try:
            found = [item for each in self._values.reduce(iterable) for item in self._of(each)]
        finally:
            self._listed.discard(key)
        return found + self._added(iterable) if found else None

    def _item(self, value: Value) -> list[Value]:
        if not isinstance(value.expr, Spread):
            return [value]
        return self.items(value.of(value.expr.value)) or [value]

    def _added(self, iterable: Value) -> list[Value]:
        """What is put into a list behind the items that are written out."""
        module = iterable.module
        place = self._values.scopes(module).place(iterable.expr)
        return [
            Value(each, module)
            for site in module.calls
            if place is not None and site.call.method in _ADDING and site.call.receiver is not None
            if self._values.scopes(module).place(site.call.receiver) == place
            for each in site.call.arguments
        ]

    def _of(self, value: Value) -> list[Value]:
        match value.expr:
            case Array(items=items):
                return [one for item in items for one in self._item(value.of(item))]
            case Record() as record:
                return [value.of(_key(record, name)) for name, _ in record.fields]
            case Call() as call:
                return self._parts(value, call) or []
        return []

    def keys(self, iterable: Value) -> list[Value] | None:
        found = [
            each.of(_key(each.expr, name))
            for each in self._values.reduce(iterable)
            if isinstance(each.expr, Record)
            for name, _ in each.expr.fields
        ]
        return found or None

    def _parts(self, value: Value, call: Call) -> list[Value] | None:
        """`Object.entries(x)`, `x.items()`, `enumerate(x)`, `Array.from(x)`, `x.filter(f)`."""
        inner = call.arguments[0] if call.arguments else call.receiver
        if inner is None:
            return None
        if call.method == "map" and isinstance(inner, Lambda) and call.receiver is not None:
            return self._mapped(value, call.receiver, inner)
        if call.method in _PARTS:
            return self._fields(value.of(inner), call.method)
        if call.method in {"filter", "slice"} and call.receiver is not None:
            return self.items(value.of(call.receiver))
        if call.method in _COPIES or (call.new and call.method in {"Set", "Array"}):
            return self.items(value.of(inner))
        if call.method == "enumerate":
            items = self.items(value.of(inner)) or []
            return [
                each.of(_pair(each.expr, _number(each.expr, i))) for i, each in enumerate(items)
            ]
        return None

    def _mapped(self, value: Value, receiver: Expr, lambda_: Lambda) -> list[Value]:
        """What `list.map(f)` comes to."""
        function = value.module.functions[lambda_.function]
        found = []
        for item in self.items(value.of(receiver)) or ():
            env = dict(value.env)
            for parameter in function.parameters:
                key = Blocker(value.module, Given(function.number, parameter)).key
                taken = self._values.taken(item, parameter.path)
                if taken is not None and not parameter.position:
                    env[key] = taken
            found += [Value(each, value.module, env) for each in function.returns]
        return found

    def _fields(self, owner: Value, part: str) -> list[Value]:
        found = []
        for each in self._values.reduce(owner):
            if isinstance(each.expr, Array) and part == "values":
                found += [each.of(item) for item in each.expr.items]
            if not isinstance(each.expr, Record):
                continue
            for name, value in each.expr.fields:
                key = _key(each.expr, name)
                chosen = {"keys": key, "values": value}.get(part, _pair(value, key))
                found.append(each.of(chosen))
        return found

    # `tables.forEach((table) => ...)`

    def _iterated(self, blocker: Blocker, meaning: Given, way: Expanded) -> list[Expanded]:
        site = self._argument_of(blocker.module, meaning.function)
        if site is None or site.call.receiver is None:
            return []
        receiver = Value(site.call.receiver, blocker.module, way.env)
        place = 0
        if site.call.method in {"reduce", "fold"} and meaning.parameter.position == 0:
            return self._first(blocker, site, way)
        if site.call.method in {"reduce", "fold"}:
            place = 1
        elif site.call.method not in _EACH:
            return []
        if ways := self._through(receiver, way):
            return ways
        items = self.items(receiver)
        if items is None:
            return []
        targets = [
            (Blocker(blocker.module, Given(meaning.function, each)).key, each.path)
            for each in blocker.module.functions[meaning.function].parameters
            if each.position == place
        ]
        return self._each(items, targets, blocker, way)

    def _through(self, iterable: Value, way: Expanded) -> list[Expanded]:
        """The list itself hangs on a parameter: bind that first."""
        key = (iterable.module.path, iterable.expr.start, iterable.expr.end)
        if key in self._passing:  # `for (const node of node.children)`
            return []
        blockers: list[Blocker] = []
        for each in self._values.reduce(iterable):
            self._values.blocked(each, blockers)
        self._passing.add(key)
        try:
            return next((ways for each in blockers if (ways := self._bound(each, way))), [])
        finally:
            self._passing.discard(key)

    def _first(self, blocker: Blocker, site: CallSite, way: Expanded) -> list[Expanded]:
        """What `reduce` begins with."""
        start = site.call.argument(1 if site.call.method == "reduce" else 0)
        if start is None:
            return []
        env = {**way.env, blocker.key: Value(start, blocker.module, way.env)}
        return [Expanded(env, way.sites)]

    def _argument_of(self, module: Module, number: int) -> CallSite | None:
        """The call that a function is written as an argument of."""
        function = module.functions[number]
        for site in module.calls:
            if site.call.opening <= function.start and function.end <= site.call.end:
                for each in site.call.arguments:
                    if isinstance(each, Lambda) and each.function == number:
                        return site
        return None

    # Callers

    def _called(self, blocker: Blocker, meaning: Given, way: Expanded) -> list[Expanded]:
        module, number = blocker.module, meaning.function
        function = module.functions[number]
        as_value = Value(
            Lambda(function.start, function.end, function.line, number), module, way.env
        )
        found = []
        for caller, site in self._values.callers(module, number):
            if any(site is passed for _, passed in way.sites):
                continue
            bound = dict(self._values.bindings(as_value, site.call, Value(site.call, caller)))
            if blocker.key in bound:
                env = {**way.env, **bound}
                found.append(Expanded(env, (*way.sites, (caller, site))))
        return found


def _absent(item: Value) -> Value:
    """Of a field that an item of a loop does not have."""
    expr = item.expr
    return item.of(Literal(expr.start, expr.end, expr.line, None))


def _is_around(key: Key, inner: Blocker) -> bool:
    """A choice that was made is around another one."""
    match key, inner.meaning:
        case (path, (int(start), int(end)), _), Choice() as choice:
            return path == inner.module.path and start <= choice.start and choice.end <= end
    return False


def _key(record: Record, name: str) -> Literal:
    return Literal(record.start, record.end, record.line, name)


def _number(expr: Expr, number: int) -> Literal:
    return Literal(expr.start, expr.end, expr.line, number)


def _pair(value: Expr, key: Expr) -> Array:
    return Array(value.start, value.end, value.line, (key, value))
