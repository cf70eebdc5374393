"""Whom code belongs to, whether it is reached, and whether it runs while a component renders."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from realtime_hub.scan.project import Project
from realtime_hub.scan.syntax import Assignment, Function, Lambda, Module, Name, walk
from realtime_hub.scan.vocabulary import words

_HOOK: Final = re.compile(r"use[A-Z]")
_COMPONENTS: Final = frozenset({".vue", ".svelte"})
_LIFECYCLE: Final = words(
    "constructor setup created mounted beforeMount beforeCreate activated render data "
    "ngOnInit ngAfterViewInit ngOnDestroy ngOnChanges componentDidMount componentDidUpdate "
    "componentWillUnmount connectedCallback disconnectedCallback onModuleInit onModuleDestroy "
    "onApplicationBootstrap initState dispose build didChangeDependencies onInit onReady "
    "onClose main default"
)


def owner(module: Module, function: int, offset: int) -> str:
    """The component, class or outermost function; empty for a file's own statements."""
    path = PurePosixPath(module.path)
    if path.suffix in _COMPONENTS:
        return path.stem
    around = list(module.enclosing(function))
    for each in reversed(around):
        if each.is_class and each.name:
            return each.name
    if not around:
        return ""
    holder = _declared_around(module, offset)
    if holder is not None:
        return holder
    named = [each.name for each in reversed(around) if each.name]
    names = [name for name in named if name != "default"]
    return names[0] if names else path.stem if named else ""


def _declared_around(module: Module, offset: int) -> str | None:
    """The file's own declaration that the code is part of."""
    for each in module.assignments:
        if each.function or not each.declared or not isinstance(each.target, Name):
            continue
        if each.start <= offset < each.end and _holds_function(each, offset):
            return each.target.name
    return None


def _holds_function(each: Assignment, offset: int) -> bool:
    if each.value is None or not each.value.start <= offset < each.value.end:
        return False
    return any(
        isinstance(part, Lambda) and part.start <= offset < part.end for part in walk(each.value)
    )


def in_render(module: Module, function: int) -> bool:
    """It runs each time that a component is drawn: the component's own function, or a hook's."""
    if function == 0:
        return False
    own = module.functions[function]
    react = any(each.module == "react" for each in module.imports.values())
    return own.renders or (react and _HOOK.match(own.name) is not None)


class Reach:
    """Whether functions are called, as far as the tree tells."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[tuple[str, int], bool] = {}

    def reached(self, module: Module, function: int, offset: int) -> bool:
        """Not in a branch that is never taken, and in functions that something calls."""
        if any(b.never and b.start <= offset < b.end for b in module.branches):
            return False
        return all(self._called(module, each) for each in module.enclosing(function))

    def _called(self, module: Module, function: Function) -> bool:
        key = (module.path, function.number)
        if key not in self._known:
            self._known[key] = True  # a function that only calls itself is looked at once
            self._known[key] = self._is_called(module, function)
        return self._known[key]

    def _is_called(self, module: Module, function: Function) -> bool:
        name = function.name
        if function.declared_at < 0 or name in _LIFECYCLE or name.startswith("__"):
            return True
        if _decorated(module, function):
            return True
        if any(self._counts(module, function, at) for at in module.references.get(name, ())):
            return True
        if function.method:
            return self._method_called(module, function)
        exported = [e.name for e in module.exports if e.local == name and not e.module]
        if function.is_class and not module.imports and not exported:
            return True  # a plain script's classes are known to all others
        if not exported:
            return self._held(module, function)
        if "default" in exported or not self._project.imported_by(module):
            return True
        return any(self._project.mentioned(each, module.path) for each in exported)

    def _counts(self, module: Module, function: Function, offset: int) -> bool:
        """A mention from outside of the function, in code that is itself reached."""
        if function.start <= offset < function.end:
            return False
        inner = innermost(module, offset)
        return all(self._called(module, each) for each in module.enclosing(inner))

    def _held(self, module: Module, function: Function) -> bool:
        """An object's member, whose name need not appear."""
        return any(
            isinstance(value, Lambda) and value.function == function.number
            for record, _ in module.records
            for _, value in record.fields
        )

    def _method_called(self, module: Module, function: Function) -> bool:
        holder = module.functions[function.parent]
        inherits = holder.is_class and _inherits(module, holder)
        if function.class_name == "{}" or inherits:
            return True  # whoever is given the object, or the class's base, may call it
        if self._project.imported_by(module):
            return self._project.mentioned(function.name, module.path)
        return bool(module.exports) or not module.imports


def _decorated(module: Module, function: Function) -> bool:
    """A decorator may have handed it to a framework."""
    before = module.source[max(0, function.start - 400) : function.start].rstrip()
    return before.rpartition("\n")[2].lstrip().startswith("@")


def _inherits(module: Module, holder: Function) -> bool:
    head = module.source[holder.start : max(holder.body[0], holder.start + 1)]
    if module.language == "dart":
        head = module.source[holder.start : holder.start + 200].partition("{")[0]
    words = ("extends", "implements", "with ") if module.language != "python" else ("(",)
    return any(word in head for word in words)


def innermost(module: Module, offset: int) -> int:
    """The function that an offset lies in."""
    best = 0
    for function in module.functions:
        if function.start <= offset < function.end:
            best = function.number
    return best
