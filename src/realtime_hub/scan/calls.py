"""Calls: what they come to, which functions they call, and what they give these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from realtime_hub.scan import syntax
from realtime_hub.scan.bound import Key, Value
from realtime_hub.scan.stores import Stores
from realtime_hub.scan.syntax import Call, Expr, Lambda, Literal, Name
from realtime_hub.scan.vocabulary import CHAINED, CONSTRUCTORS, MAKING

if TYPE_CHECKING:
    from realtime_hub.scan.values import Values

_MEMOS: Final = frozenset({"useMemo", "computed", "memo", "lazy", "once"})
_CALLBACKS: Final = frozenset({"useCallback", "useEvent", "useEffectEvent", "markRaw", "freeze"})
_WRAPPING: Final = frozenset({"createSharedComposable", "createGlobalState"})


class Calls:
    """Follows calls to the functions of the tree."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._stores = Stores(values)

    def of(self, value: Value, call: Call) -> Sequence[Value]:
        """What a call comes to."""
        if call.new:
            return [value]
        name = call.method
        if name in _MEMOS | _CALLBACKS and call.arguments:
            found = self._values.reduce(value.of(call.arguments[0]))
            return found if name in _CALLBACKS else [r for f in found for r in self.result(f, ())]
        if name in _WRAPPING:
            lambdas = [each for each in call.arguments if isinstance(each, Lambda)]
            return [value.of(lambdas[0])] if lambdas else [value]
        kept = self._stores.of(value, call)
        if kept:
            return kept
        if name in CHAINED:
            made = self._chain_start(value, call)
            if made:
                return made
        functions = self.functions(value)
        if functions:
            results = [
                result
                for function in functions
                for result in self.result(function, self.bindings(function, call, value))
            ]
            return results or [value]
        return [value]

    def _chain_start(self, value: Value, call: Call) -> list[Value]:
        """The channel that a chain of calls on it begins with; empty if it is something else."""
        start: Expr = call
        while isinstance(start, Call) and start.method in CHAINED and start.receiver is not None:
            start = start.receiver
        found = [] if start is call else self._values.reduce(value.of(start))
        known = [each for each in found if isinstance(each.expr, Call)]
        made = any(each.expr.method in MAKING for each in known if isinstance(each.expr, Call))
        given = any(not isinstance(each.expr, Call) for each in found)
        return found if made or (given and not known) else []

    def result(self, function: Value, bound: Iterable[tuple[Key, Value]]) -> list[Value]:
        """What a function returns."""
        if not isinstance(function.expr, Lambda):
            return []
        env = {**function.env, **dict(bound)}
        returns = function.module.functions[function.expr.function].returns
        return [
            each
            for one in returns
            for each in self._values.reduce(Value(one, function.module, env))
        ]

    def functions(self, value: Value) -> list[Value]:
        """The functions of the tree that a call calls."""
        if not isinstance(value.expr, Call):
            return []
        return [
            each
            for each in self._values.reduce(value.of(value.expr.function))
            if isinstance(each.expr, Lambda)
        ]

    def bindings(self, function: Value, call: Call, caller: Value) -> list[tuple[Key, Value]]:
        """What a call gives for each parameter."""
        if not isinstance(function.expr, Lambda):
            return []
        module = function.module
        target = module.functions[function.expr.function]
        if target.is_class:
            made = [f for f in module.functions if f.receiver == target.receiver and f.method]
            named = CONSTRUCTORS | {target.name}
            target = next((f for f in made if f.name in named), target)
        match call:
            case Call(method="__init__", arguments=(Name(name=syntax.THIS), *rest)):
                call = replace(call, arguments=tuple(rest))  # `Base.__init__(self, table)`
        found: list[tuple[Key, Value]] = []
        for parameter in target.parameters:
            key = (module.path, target.number, parameter.name)
            given = call.argument(parameter.position, parameter.keyword)
            taken = None if given is None else self._values.taken(caller.of(given), parameter.path)
            if taken is not None:
                found.append((key, taken))
            elif parameter.default is not None:
                found.append((key, Value(parameter.default, module, function.env)))
            else:
                found.append((key, caller.of(Literal(call.start, call.end, call.line, None))))
        return found
