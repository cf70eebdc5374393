"""What a name means at a place of a file."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_hub.scan.syntax import (
    THIS,
    Assignment,
    Expr,
    Import,
    Index,
    Loop,
    Member,
    Module,
    Name,
    Parameter,
    Path,
)


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter of a function; known only where it is called."""

    function: int
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class Looped:
    """A loop's variable."""

    loop: Loop
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Variable:
    """All assignments to one declared name."""

    scope: tuple[int, int]
    writes: tuple[Assignment, ...]


Meaning = Given | Looped | Variable | Import


class Scopes:
    """Looks names up in one module: the narrowest scope wins."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._declared: dict[str, dict[tuple[int, int], list[Assignment]]] = {}
        self._parameters: dict[str, list[tuple[int, Parameter]]] = {}
        self._loops: dict[str, list[tuple[Loop, Path]]] = {}
        self._fields: dict[str, list[Assignment]] = {}
        self._add_assignments()
        for function in module.functions:
            for parameter in function.parameters:
                where = (function.number, parameter)
                self._parameters.setdefault(parameter.name, []).append(where)
        for loop in module.loops:
            for name, path in loop.targets:
                self._loops.setdefault(name, []).append((loop, path))

    def _add_assignments(self) -> None:
        """Declarations first: assignments to a name go to the declaration that they see."""
        later: list[tuple[str, Assignment]] = []
        for write in self.module.assignments:
            match write.target:
                case Name(name=name) if write.declared:
                    scopes = self._declared.setdefault(name, {})
                    scopes.setdefault(write.scope, []).append(write)
                case Name(name=name):
                    later.append((name, write))
                case Member(name=name):
                    self._fields.setdefault(name, []).append(write)
        for name, write in later:
            scope = self._scope_of(name, write.start)
            if scope is not None:
                self._declared[name][scope].append(write)

    def meaning(self, name: str, offset: int) -> Meaning | None:
        """None: it is not of this file."""
        best: Meaning | None = None
        size = 0
        scope = self._scope_of(name, offset)
        if scope is not None:
            best = Variable(scope, tuple(self._declared[name][scope]))
            size = scope[1] - scope[0]
        for number, parameter in self._parameters.get(name, ()):
            function = self.module.functions[number]
            width = function.end - function.start
            if function.start <= offset < function.end and (best is None or width < size):
                best, size = Given(number, parameter), width
        for loop, path in self._loops.get(name, ()):
            width = loop.end - loop.start
            if loop.start <= offset < loop.end and (best is None or width <= size):
                best, size = Looped(loop, name, path), width
        return best if best is not None else self.module.imports.get(name)

    def _scope_of(self, name: str, offset: int) -> tuple[int, int] | None:
        scopes = [scope for scope in self._declared.get(name, ()) if scope[0] <= offset < scope[1]]
        return min(scopes, key=lambda scope: scope[1] - scope[0], default=None)

    def fields(self, target: Member) -> list[Assignment]:
        """Assignments to a member: of the same variable, or of the same object's `this`."""
        place = self.place(target)
        return [
            write
            for write in self._fields.get(target.name, ())
            if self.place(write.target) == place
        ]

    def place(self, expr: Expr) -> tuple[object, ...] | None:
        """Equal for expressions that mean the same variable or field; None for values."""
        match expr:
            case Name(name=name) if name == THIS:
                return (THIS, self.receiver(expr.start))
            case Name(name=name):
                found = self.meaning(name, expr.start)
                match found:
                    case Variable(scope=scope):
                        return (name, scope)
                    case Given(function=number):
                        return (name, number)
                    case Looped(loop=loop):
                        return (name, loop.start)
                return (name,)
            case Member(object=owner, name=name) | Index(object=owner, key=Name(name=name)):
                inner = self.place(owner)
                return None if inner is None else (*inner, name)
            case Index(object=owner):
                inner = self.place(owner)
                return None if inner is None else (*inner, "[]")
        return None

    def receiver(self, offset: int) -> int:
        """Of what class or object `this` is, at a place; -1 for none."""
        best, size = -1, 0
        for function in self.module.functions:
            width = function.end - function.start
            inside = function.start <= offset < function.end
            if inside and function.receiver >= 0 and (best < 0 or width < size):
                best, size = function.receiver, width
        return best
