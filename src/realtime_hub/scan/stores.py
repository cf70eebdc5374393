"""What frameworks keep for many components: stores, contexts, injected services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from realtime_hub.scan.bound import Key, Value
from realtime_hub.scan.fields import unknown
from realtime_hub.scan.scopes import Given
from realtime_hub.scan.shapes import argument_of
from realtime_hub.scan.syntax import PROVIDED, Call, Lambda, Member, Module, Name, Record

if TYPE_CHECKING:
    from realtime_hub.scan.values import Values

_CREATING: Final = frozenset({"defineStore", "create", "createStore", "createWithEqualityFn"})

_AROUND: Final = frozenset({"persist", "devtools", "immer", "subscribeWithSelector", "logger"})


class Stores:
    """Follows calls of Pinia, Zustand, React's contexts and Angular's `inject`."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def of(self, value: Value, call: Call) -> Sequence[Value]:
        """What a call that reads from a store comes to; empty if it is no such call."""
        first = call.arguments[0] if call.arguments else None
        plain = isinstance(call.function, Name)
        if first is not None and (call.method == "useContext" or (plain and call.method == "use")):
            return self._provided(value.of(first))
        if call.method == "inject" and isinstance(first, Name):
            made = Call(call.start, call.end, call.line, first, (), new=True)
            return [value.of(made)] if self._is_class(value.of(first)) else []
        if call.method == "getState" and call.receiver is not None:
            return self._state(value.of(call.receiver))
        if not isinstance(call.function, Name):
            return []
        inner = self._from_within(value, call.function)
        if inner is not None:
            return self._fields(inner)
        state = self._state(value.of(call.function))
        return self._selected(value.of(first), state) if isinstance(first, Lambda) else state

    def _is_class(self, value: Value) -> bool:
        return any(
            isinstance(each.expr, Lambda) and each.module.functions[each.expr.function].is_class
            for each in self._values.reduce(value)
        )

    # Pinia, Zustand

    def _state(self, store: Value) -> list[Value]:
        """The objects with a store's fields and functions."""
        return [
            field
            for each in self._values.reduce(store)
            if isinstance(each.expr, Call)
            for made in _making(each.expr)
            for field in self._fields(each.of(made))
        ]

    def _fields(self, made: Value) -> list[Value]:
        match made.expr:
            case Lambda(function=number):
                returns = made.module.functions[number].returns
                states = [each for one in returns for each in self._values.reduce(made.of(one))]
                return [self._later(each) for each in states]
            case Record() as options:  # a store of Pinia's, by options
                actions = options.get("actions")
                return [] if actions is None else self._values.reduce(made.of(actions))
        return []

    def _later(self, state: Value) -> Value:
        """A state as it is after its beginning: what was empty will have been filled."""
        if not isinstance(state.expr, Record):
            return state
        fields = tuple(
            (name, unknown(state.of(field)))
            if self._values.truth(state.of(field)) is False
            else (name, field)
            for name, field in state.expr.fields
        )
        return state.of(replace(state.expr, fields=fields))

    def _from_within(self, value: Value, function: Name) -> Value | None:
        """The function that makes a store, where `get` is called in it."""
        meaning = self._values.meaning(value.module, function)
        if not isinstance(meaning, Given) or meaning.parameter.position != 1:
            return None
        maker = value.module.functions[meaning.function]
        site = argument_of(value.module, maker)
        if site is None or (not site.call.method and not isinstance(site.call.function, Call)):
            return None
        named = {site.call.method, getattr(site.call.function, "method", "")}
        if named.isdisjoint(_CREATING | _AROUND):
            return None
        return value.of(Lambda(maker.start, maker.end, maker.line, maker.number))

    def _selected(self, selector: Value, state: list[Value]) -> list[Value]:
        """`useStore((state) => state.field)`."""
        if not isinstance(selector.expr, Lambda):
            return []
        function = selector.module.functions[selector.expr.function]
        found = []
        for each in state:
            bound: dict[Key, Value] = {
                (selector.module.path, function.number, parameter.name): taken
                for parameter in function.parameters[:1]
                if (taken := self._values.taken(each, parameter.path)) is not None
            }
            for one in function.returns:
                within = replace(selector, expr=one, env={**selector.env, **bound})
                found += self._values.reduce(within)
        return found

    # React's contexts

    def _provided(self, context: Value) -> list[Value]:
        """What the providers of a context give."""
        made = {(each.module.path, each.expr.start) for each in self._values.reduce(context)}
        return [
            each
            for module in self._values.project.known
            for owner, given in _provisions(module)
            if not made.isdisjoint(
                (each.module.path, each.expr.start) for each in self._values.reduce(owner)
            )
            for each in self._values.reduce(given)
        ]


def _making(call: Call) -> Iterator[Lambda | Record]:
    """What a store is made of: `create((set, get) => ...)`, `create()(persist(...))`,
    `defineStore('id', ...)`."""
    function = call.function
    outer = function.method if isinstance(function, Call) else call.method
    if outer not in _CREATING | _AROUND:
        return
    for each in call.arguments:
        if isinstance(each, Lambda) or (isinstance(each, Record) and call.method == "defineStore"):
            yield each
        elif isinstance(each, Call):
            yield from _making(each)


def _provisions(module: Module) -> Iterator[tuple[Value, Value]]:
    """Contexts, and what is given for them in a module."""
    for write in module.assignments:
        match write.target:
            case Member(object=owner, name=name) if name == PROVIDED and write.value is not None:
                yield Value(owner, module), Value(write.value, module)
