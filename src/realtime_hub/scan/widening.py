"""Which files are read beyond those that speak of Realtime: the ones that call functions around
channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Final

from realtime_hub.scan.callers import is_local
from realtime_hub.scan.channels import Channels, Draft
from realtime_hub.scan.hubs import MAKERS, PACKAGE
from realtime_hub.scan.languages import family_of
from realtime_hub.scan.project import Project, word_of
from realtime_hub.scan.sources import Sources
from realtime_hub.scan.surroundings import owner
from realtime_hub.scan.syntax import Call, Expr, Function, Module, Name, Record, unwrapped
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import words

Word = tuple[str, str]
"""A name, behind the family of languages in which it is one."""

_ROUNDS: Final = 4
_MANY: Final = 200
_LEAST: Final = 4
_COMMON: Final = words("default constructor subscribe setup init connect start")


def widened(project: Project, sources: Sources) -> tuple[Values, list[Draft]]:
    """Channels, once all files are read that call the functions around them."""
    asked: set[Word] = set()
    for left in reversed(range(_ROUNDS)):
        values = Values(project)
        drafts = Channels(values).find()
        if not left:
            break
        names = _names(values, drafts) - asked
        asked |= names
        fresh = _mentioning(sources, names) - project.modules.keys()
        for path in fresh:
            project.module(path)
        if not fresh:
            break
    return values, drafts


def _mentioning(sources: Sources, names: Iterable[Word]) -> set[str]:
    """Files in which a name stands, unless it stands everywhere."""
    found: set[str] = set()
    for family, name in names:
        paths = {path for path in sources.mentions(name) if family_of(path) == family}
        if len(paths) <= _MANY:
            found |= paths
    return found


def _names(values: Values, drafts: Iterable[Draft]) -> set[Word]:
    """Names under which functions around channels may be called from other files."""
    by_family: dict[str, list[Draft]] = {}
    for draft in drafts:
        by_family.setdefault(family_of(draft.module.path), []).append(draft)
    for module in values.project.known:
        by_family.setdefault(family_of(module.path), [])
    return {
        (family, name)
        for family, some in by_family.items()
        for name in _names_within(values, some, family)
    }


def _names_within(values: Values, drafts: Iterable[Draft], family: str) -> set[str]:
    names: set[str] = set()
    objects: set[str] = set()
    for draft in drafts:
        names.add(owner(draft.module, draft.function, draft.node.start))
        places = [(draft.module, draft.function)]
        places += [(each.listening.module, each.listening.function) for each in draft.attached]
        known = all(each.listening.binding(each.way.env).proven for each in draft.attached)
        for module, number in places:
            objects |= _objects(module)
            for function in _around(module, number):
                names.add(function.name)
                names |= set() if known else _callers(values, module, function)
    for module in values.project.known:
        if family_of(module.path) == family and PACKAGE.search(module.source):
            objects |= _objects(module)
    return (objects | {name for name in names if len(name) >= _LEAST}) - _COMMON


def _around(module: Module, number: int) -> Iterator[Function]:
    """Functions around a place that other files may call."""
    return (f for f in module.enclosing(number) if not f.renders and not is_local(module, f))


def _callers(values: Values, module: Module, function: Function) -> set[str]:
    """Names of functions that hand on to this one what they are given."""
    return {
        outer.name
        for caller, site in values.callers(module, function.number)
        for outer in _around(caller, site.function)
    }


def _objects(module: Module) -> set[str]:
    """Exported objects, whose methods other files may call: `export const hub = new Hub()`.

    One that is exported as default has the importer's name: the file's is what is known.
    """
    classes = {each.name for each in module.functions if each.is_class}
    made = {
        write.target.name
        for write in module.assignments
        if write.function == 0 and isinstance(write.target, Name)
        if _is_object(write.value, classes)
    }
    return {
        word_of(module) if each.name == "default" else each.name
        for each in module.exports
        if each.local in made or _is_object(each.value, classes)
    }


def _is_object(value: Expr | None, classes: Set[str]) -> bool:
    """Something new, or what a class gives out: `Hub.getInstance()`."""
    match value if value is None else unwrapped(value):
        case Call(new=new, method=method, receiver=receiver):
            given = isinstance(receiver, Name) and receiver.name in classes
            return new or method in MAKERS or given
        case Record():
            return True
    return False
