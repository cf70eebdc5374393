"""Which variables, fields and containers may hold a channel, and which calls close it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.channels import Draft
from realtime_hub.scan.model import Style
from realtime_hub.scan.scopes import Scopes
from realtime_hub.scan.syntax import (
    THIS,
    Array,
    Assignment,
    Awaited,
    Call,
    CallSite,
    Choice,
    Expr,
    Function,
    Index,
    Lambda,
    Member,
    Module,
    Name,
    Node,
    Record,
    Spread,
    walk,
)
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import (
    CHAINED,
    EACH,
)

_BOXES: Final = frozenset(
    {"useRef", "ref", "shallowRef", "useState", "useMemo", "signal", "writable", "Map", "Set"}
)
_STORING: Final = frozenset({"push", "add", "set", "append", "unshift", "addAll", "insert", "put"})
_COPYING: Final = frozenset({"from", "of", "list", "tuple", "toList", "slice", "concat"})
_TAKING: Final = frozenset({"get", "pop", "remove", "at", "shift", "find", "values"})
_STATES: Final = frozenset({"set", "setState", "patchState", "$patch", "assign"})
_FOLDING: Final = frozenset({"reduce", "fold"})
_COMMON: Final = frozenset({"current", "value", THIS, "[]"})
_ROUNDS: Final = 10

Place = tuple[object, ...]
Near = Callable[[Node | Assignment], bool]


@dataclass(slots=True)
class Handles:
    """What may hold a channel: places by module, and functions that return it."""

    draft: Draft
    places: set[tuple[str, Place]] = field(default_factory=set)
    returning: set[tuple[str, int]] = field(default_factory=set)
    modules: dict[str, Module] = field(default_factory=dict)


class Holding:
    """Follows a channel forward, from where it is made."""

    def __init__(self, values: Values, draft: Draft) -> None:
        self._values = values
        self._draft = draft
        self.found = Handles(draft, modules={draft.module.path: draft.module})
        self._names: set[str] = set()
        self._calls: set[tuple[str, int, int]] = set()
        self._fields: set[str] = set()
        for _ in range(_ROUNDS):
            before = self._size()
            for module in list(self.found.modules.values()):
                self._round(module)
            if self._size() == before:
                break

    def _size(self) -> int:
        known = len(self.found.places) + len(self.found.returning)
        return known + len(self._names) + len(self._fields)

    # One round over a module

    def _round(self, module: Module) -> None:
        scopes = self._values.scopes(module)
        near = self._near(module)
        for write in module.assignments:
            if self._takes(module, write, near):
                self._put(module, scopes, write.target)
        for site in module.calls:
            if near(site.call):
                self._passed(module, scopes, site)
        for loop in module.loops:
            if near(loop.iterable) and self.mentions(module, loop.iterable):
                for name, _ in loop.targets:
                    self._add(module, (name, loop.start))
        for function in module.functions[1:]:
            if any(near(each) and self.holds(module, each) for each in function.returns):
                self._returns(module, function)

    def _takes(self, module: Module, write: Assignment, near: Near) -> bool:
        if write.value is None:
            return False
        if write.path and write.path[-1] in self._fields:
            return True
        return near(write) and self.holds(module, write.value)

    def _near(self, module: Module) -> Near:
        """Whether a name that may mean the channel stands in a part of the text."""
        marks = [at for name in self._names for at in module.references.get(name, ())]
        if module is self._draft.module:
            marks.append(self._draft.node.start)
        marks.sort()

        def near(part: Node | Assignment) -> bool:
            place = bisect_left(marks, part.start)
            return place < len(marks) and marks[place] < part.end

        return near

    def _returns(self, module: Module, function: Function) -> None:
        key = (module.path, function.number)
        if key in self.found.returning:
            return
        self.found.returning.add(key)
        for caller, site in self._values.callers(module, function.number):
            self.found.modules.setdefault(caller.path, caller)
            self._names.add(site.call.method)
            self._calls.add((caller.path, site.call.start, site.call.end))

    def _add(self, module: Module, place: Place) -> None:
        self.found.places.add((module.path, place))
        self._names.update(part for part in place if isinstance(part, str))

    def _put(self, module: Module, scopes: Scopes, target: Expr) -> None:
        place = scopes.place(target)
        if place is not None:
            self._add(module, place)
        if isinstance(target, Index):
            self._put(module, scopes, target.object)

    def _passed(self, module: Module, scopes: Scopes, site: CallSite) -> None:
        call = site.call
        given = [each for each in _given(module, call) if self.holds(module, each)]
        if given and call.method in _STATES:
            self._state_fields(module, given)
        if given and call.method in _STORING and call.receiver is not None:
            self._put(module, scopes, call.receiver)
        elif given and isinstance(call.function, Name):
            self._state(module, scopes, call.function)
            self._parameters(module, call)
        elif call.method in EACH and call.receiver is not None:
            lambdas = [each for each in call.arguments if isinstance(each, Lambda)]
            if lambdas and self.mentions(module, call.receiver):
                for each in lambdas:
                    self._parameter(module, each.function)

    def _state_fields(self, module: Module, given: list[Expr]) -> None:
        """`set({ channel })`: a store's field of that name holds it from then on."""
        for each in given:
            for name, value in each.fields if isinstance(each, Record) else ():
                if self.holds(module, value):
                    self._fields.add(name)
                    self._names.add(name)

    def _parameter(self, module: Module, number: int) -> None:
        for parameter in module.functions[number].parameters:
            self._add(module, (parameter.name, number))

    def _parameters(self, module: Module, call: Call) -> None:
        """Those of the function that the channel is given to."""
        for each in self._values.functions(Value(call, module)):
            if not isinstance(each.expr, Lambda):
                continue
            number = each.expr.function
            for parameter in each.module.functions[number].parameters:
                given = call.argument(parameter.position, parameter.keyword)
                if given is not None and self.holds(module, given):
                    self.found.modules.setdefault(each.module.path, each.module)
                    self._add(each.module, (parameter.name, number))

    def _state(self, module: Module, scopes: Scopes, setter: Name) -> None:
        """`const [channel, setChannel] = useState()`."""
        setting = self._declaration(module, scopes, setter)
        if setting is None or setting.path != (1,):
            return
        for write in module.assignments:
            if write.start == setting.start and write.path == (0,):
                self._put(module, scopes, write.target)

    @staticmethod
    def _declaration(module: Module, scopes: Scopes, name: Name) -> Assignment | None:
        place = scopes.place(name)
        for write in module.assignments:
            if write.declared and write.path and scopes.place(write.target) == place:
                return write
        return None

    # Questions

    def holds(self, module: Module, expr: Expr) -> bool:
        """It is the channel, or something that contains it."""
        return any(self._is(module, each) for each in self.flows(module, expr))

    def mentions(self, module: Module, expr: Expr) -> bool:
        """The channel is somewhere in it."""
        return any(self._is(module, each) for each in walk(expr))

    def is_named(self, module: Module, start: int, end: int) -> bool:
        """The channel's variable is named in a part of the text."""
        return any(
            start <= at < end
            for name in self._names - _COMMON
            for at in module.references.get(name, ())
        )

    def _is(self, module: Module, expr: Expr) -> bool:
        node = self._draft.node
        if module is self._draft.module and (expr.start, expr.end) == (node.start, node.end):
            return True
        if isinstance(expr, Name | Member | Index):
            field = expr.object if isinstance(expr, Index) else expr
            if isinstance(field, Member) and field.name in self._fields:
                return True
            known = not self._names.isdisjoint(_names_of(expr))
            return known and self._held(module, self._values.scopes(module).place(expr))
        return isinstance(expr, Call) and (module.path, expr.start, expr.end) in self._calls

    def _held(self, module: Module, place: Place | None) -> bool:
        if place is None:
            return False
        least = 3 if place[0] == THIS else 1
        return any(
            (module.path, place[:length]) in self.found.places
            for length in range(least, len(place) + 1)
        )

    def flows(self, module: Module, expr: Expr) -> Iterator[Expr]:
        """The expression and those whose value it passes on."""
        stack = [expr]
        while stack:
            each = stack.pop()
            yield each
            match each:
                case Awaited(value=inner) | Spread(value=inner):
                    stack.append(inner)
                case Choice(options=items) | Array(items=items):
                    stack.extend(items)
                case Record():
                    stack += [*(value for _, value in each.fields), *each.spreads]
                case Call():
                    stack += self._of_call(module, each)

    def _of_call(self, module: Module, call: Call) -> list[Expr]:
        found: list[Expr] = []
        chained = call.method in CHAINED or self._draft.style is Style.STREAM
        if call.receiver is not None and (chained or call.method in _TAKING):
            found.append(call.receiver)
        if call.method in _COPYING:
            found += call.arguments if call.receiver is None else (call.receiver, *call.arguments)
        if call.method in _FOLDING:
            found += call.arguments  # what it begins with
        if call.method in EACH | {"all", "allSettled", "gather"} or call.method in _BOXES:
            for each in call.arguments:
                inner = [each]
                if isinstance(each, Lambda):
                    inner = module.functions[each.function].returns
                found += inner
        return found


def _given(module: Module, call: Call) -> Iterator[Expr]:
    """What a call is given; a state's setter also by a function: `set((old) => ({ channel }))`."""
    for each in call.arguments:
        setting = call.method in _STATES or call.method.startswith("set")
        if setting and isinstance(each, Lambda):
            yield from module.functions[each.function].returns
        else:
            yield each


def _names_of(expr: Expr) -> Iterator[str]:
    """The names that a path of members is made of."""
    while isinstance(expr, Member | Index):
        if isinstance(expr, Member):
            yield expr.name
        expr = expr.object
    if isinstance(expr, Name):
        yield expr.name
