"""Where functions are called, in the whole tree."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.lifecycle import CALLBACKS
from realtime_hub.scan.scopes import Given
from realtime_hub.scan.shapes import names_of
from realtime_hub.scan.syntax import (
    PROVIDED,
    SUPER,
    Call,
    CallSite,
    Expr,
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


Site = tuple[Module, CallSite]
Resolved = tuple[Mapping[tuple[str, int], list[Site]], list[Site]]


class Callers:
    """Finds callers once for each function."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._known: dict[tuple[str, int], list[Site]] = {}
        self._leading: dict[tuple[str, str], Resolved] = {}

    def of(self, module: Module, number: int) -> list[Site]:
        """Where a function of the tree is called, as far as it can be told."""
        key = (module.path, number)
        if key not in self._known:
            self._known[key] = self._find(module, number)
        return self._known[key]

    def _find(self, module: Module, number: int) -> list[Site]:
        function = module.functions[number]
        if function.method and function.name in CONSTRUCTORS:
            return self._making(module, function)
        names = names_of(module, function) | self._aliases(module, function)
        paths = {module.path} if is_local(module, function) else None
        return self._calling(module, [function], names, paths) + self._given(module, function)

    def _given(self, module: Module, function: Function) -> list[Site]:
        """Where a parameter is called that the function is handed on for: `listen(handler)`."""
        names = names_of(module, function)

        def is_it(given: Expr | None) -> bool:
            match given:
                case Name(name=name):
                    return name in names
                case Lambda(function=number):
                    return number == function.number
                case Call(method=method, arguments=(inner, *_)) if method in CALLBACKS:
                    return is_it(inner)
            return False

        found: list[Site] = []
        for site in module.calls:
            if site.call.method in CALLBACKS or not any(map(is_it, site.call.arguments)):
                continue
            for target in self._values.functions(Value(site.call, module)):
                number = target.expr.function if isinstance(target.expr, Lambda) else 0
                for each in target.module.functions[number].parameters:
                    if not each.path and is_it(site.call.argument(each.position, each.keyword)):
                        found += self._calls_of(target.module, number, each.name)
        return found

    def _calls_of(self, module: Module, number: int, name: str) -> list[Site]:
        return [
            (module, site)
            for site in module.calls
            if isinstance(site.call.function, Name) and site.call.method == name
            if isinstance(meaning := self._values.meaning(module, site.call.function), Given)
            if meaning.function == number
        ]

    def _making(self, module: Module, constructor: Function) -> list[Site]:
        """Where a class is made, and where those that extend it call its constructor."""
        made = module.functions[constructor.parent]
        names = names_of(module, made) | self._aliases(module, made)
        near = {each.path for each in self._values.project.known if names & each.references.keys()}
        return self._calling(module, [constructor, made], names, None) + self._calling(
            module, [constructor, made], {SUPER, constructor.name}, near
        )

    def _calling(
        self, module: Module, functions: list[Function], names: Set[str], paths: Set[str] | None
    ) -> list[Site]:
        """Calls of one of some functions by one of their names, in some files or in all."""
        found: list[Site] = []
        for name in names:
            by_path = self._by_name.get(name, {})
            for path in by_path if paths is None else by_path.keys() & paths:
                known, others = self._resolved(name, path)
                for each in functions:
                    found += known.get((module.path, each.number), ())
                    found += [site for site in others if _resembles(site[1].call, each)]
        return sorted(found, key=lambda each: (each[0].path, each[1].call.start))

    def _resolved(self, name: str, path: str) -> Resolved:
        """The calls of a name in a file, by the function that they lead to, and the rest."""
        key = (name, path)
        if key not in self._leading:
            known: dict[tuple[str, int], list[Site]] = {}
            others: list[Site] = []
            for module, site in self._by_name[name][path]:
                functions = {
                    (each.module.path, each.expr.function)
                    for each in self._values.functions(Value(site.call, module))
                    if isinstance(each.expr, Lambda)
                }
                for each in functions:
                    known.setdefault(each, []).append((module, site))
                if not functions:
                    others.append((module, site))
            self._leading[key] = (known, others)
        return self._leading[key]

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
    def _by_name(self) -> Mapping[str, Mapping[str, list[Site]]]:
        """Calls by the name of what is called, and by their file."""
        found: dict[str, dict[str, list[Site]]] = {}
        for module in self._values.project.known:
            for site in module.calls:
                if site.call.method:
                    paths = found.setdefault(site.call.method, {})
                    paths.setdefault(module.path, []).append((module, site))
        return found


def _resembles(call: Call, function: Function) -> bool:
    """A method of an object that can't be followed, with the class's name: `hub.listen()`
    where the class is RealtimeHub."""
    if not function.class_name.strip("{}"):
        return False
    match call.receiver:
        case Name(name=name) | Member(name=name):
            plain = name.lower().replace("_", "").removesuffix("ref")
            known = function.class_name.lower()
            near = known.startswith(plain) or known.endswith(plain)
            return len(plain) > 3 and plain not in _COMMON and near
    return False


def is_local(module: Module, function: Function) -> bool:
    """Other files can't call it: it is within a function that does not give it away."""
    within = function.parent != 0 and not function.method and not function.is_class
    return within and not _handed_out(module, function)


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
