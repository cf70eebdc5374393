"""Where functions are called, in the whole tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.shapes import names_of
from realtime_hub.scan.syntax import (
    PROVIDED,
    SUPER,
    Call,
    CallSite,
    Function,
    Lambda,
    Member,
    Module,
    Name,
    walk,
)
from realtime_hub.scan.vocabulary import CONSTRUCTORS

if TYPE_CHECKING:
    from realtime_hub.scan.values import Values

_COMMON: Final = frozenset({"this", "channel", "channels", "client", "socket", "supabase", "super"})


class Callers:
    """Finds callers once for each function."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._known: dict[tuple[str, int], list[tuple[Module, CallSite]]] = {}

    def of(self, module: Module, number: int) -> list[tuple[Module, CallSite]]:
        """Where a function of the tree is called, as far as it can be told."""
        key = (module.path, number)
        if key not in self._known:
            self._known[key] = self._find(module, number)
        return self._known[key]

    def _find(self, module: Module, number: int) -> list[tuple[Module, CallSite]]:
        function = module.functions[number]
        if function.method and function.name in CONSTRUCTORS:
            return self._making(module, function)
        local = function.parent != 0 and not function.method and not function.is_class
        local = local and not _handed_out(module, function)
        names = names_of(module, function) | self._aliases(module, function)
        found = [
            (caller, site)
            for caller, site in self._named(names)
            if not local or caller is module
            if self._calls_it(Value(site.call, caller), module, {number})
        ]
        return sorted(found, key=_place)

    def _making(self, module: Module, constructor: Function) -> list[tuple[Module, CallSite]]:
        """Where a class is made, and where those that extend it call its constructor."""
        made = module.functions[constructor.parent]
        numbers = {constructor.number, made.number}
        names = names_of(module, made) | self._aliases(module, made)
        sites = list(self._named(names))
        sites += [
            (caller, site)
            for caller, site in self._named({SUPER, constructor.name})
            if not names.isdisjoint(caller.references)
        ]
        found = [
            (caller, site)
            for caller, site in sites
            if self._calls_it(Value(site.call, caller), module, numbers)
        ]
        return sorted(found, key=_place)

    def _named(self, names: Set[str]) -> Iterator[tuple[Module, CallSite]]:
        for name in names:
            yield from self._by_name.get(name, ())

    def _aliases(self, module: Module, function: Function) -> set[str]:
        """Other names: of imports, and of fields that hold it."""
        names = set(self._renamed.get(function.name, ()))
        if any(each.name == "default" for each in module.exports):
            names |= self._renamed.get("default", set())
        fields = {
            name
            for record, _ in module.records
            for name, value in record.fields
            if isinstance(value, Name) and value.name == function.name and name != function.name
        }
        return names | fields

    def _calls_it(self, value: Value, module: Module, numbers: Set[int]) -> bool:
        functions = self._values.functions(value)
        if functions:
            return any(
                each.module is module
                and isinstance(each.expr, Lambda)
                and each.expr.function in numbers
                for each in functions
            )
        return any(self._resembles(value, module.functions[each]) for each in numbers)

    def _resembles(self, value: Value, function: Function) -> bool:
        """A method of an object that can't be followed, with the class's name: `hub.listen()`
        where the class is RealtimeHub."""
        call = value.expr
        if not function.class_name.strip("{}") or not isinstance(call, Call):
            return False
        match call.receiver:
            case Name(name=name) | Member(name=name):
                plain = name.lower().replace("_", "").removesuffix("ref")
                known = function.class_name.lower()
                near = known.startswith(plain) or known.endswith(plain)
                return len(plain) > 3 and plain not in _COMMON and near
        return False

    @cached_property
    def _renamed(self) -> Mapping[str, set[str]]:
        """Other names under which imported things are known, by their own."""
        found: dict[str, set[str]] = {}
        for each in self._values.project.known:
            for one in each.imports.values():
                if one.local != one.name:
                    found.setdefault(one.name, set()).add(one.local)
        return found

    @cached_property
    def _by_name(self) -> Mapping[str, list[tuple[Module, CallSite]]]:
        found: dict[str, list[tuple[Module, CallSite]]] = {}
        for module in self._values.project.known:
            for site in module.calls:
                if site.call.method:
                    found.setdefault(site.call.method, []).append((module, site))
        return found


def _place(found: tuple[Module, CallSite]) -> tuple[str, int]:
    return found[0].path, found[1].call.start


def _handed_out(module: Module, function: Function) -> bool:
    """The function around it returns it, or provides it, so that other files may call it."""
    names = names_of(module, function)
    provided = (
        write.value
        for write in module.assignments
        if write.function == function.parent and getattr(write.target, "name", "") == PROVIDED
    )
    for given in (*module.functions[function.parent].returns, *provided):
        for each in walk(given) if given is not None else ():
            if isinstance(each, Name) and each.name in names:
                return True
            if isinstance(each, Lambda) and each.function == function.number:
                return True
    return False
