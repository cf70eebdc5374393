"""What an expression's value is, as far as the source says: names, fields, calls and imports are
followed, parameters and loop variables as far as they are bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from realtime_hub.scan.bound import Blocker, Env, Key, Value
from realtime_hub.scan.callers import Callers
from realtime_hub.scan.calls import Calls
from realtime_hub.scan.choices import Choices
from realtime_hub.scan.fields import Fields, unknown
from realtime_hub.scan.project import Project
from realtime_hub.scan.scopes import Given, Looped, Meaning, Scopes, Variable
from realtime_hub.scan.syntax import (
    REST,
    THIS,
    Array,
    Assignment,
    Awaited,
    Call,
    CallSite,
    Choice,
    Import,
    Index,
    Literal,
    Member,
    Module,
    Name,
    Path,
    Record,
    Template,
)
from realtime_hub.scan.vocabulary import ENUMERATIONS

_DEPTH: Final = 40
_LEVELS: Final = 8
_MOST_STEPS: Final = 5_000


class Values:
    def __init__(self, project: Project) -> None:
        self.project = project
        self._scopes: dict[str, Scopes] = {}
        self._callers = Callers(self)
        self._choices = Choices(self)
        self._fields = Fields(self)
        self._calls = Calls(self)
        self._joining: set[tuple[str, int, int]] = set()
        self._busy: set[tuple[str, int, int, str]] = set()
        self._steps = 0

    def scopes(self, module: Module) -> Scopes:
        found = self._scopes.get(module.path)
        if found is None or found.module is not module:
            found = self._scopes[module.path] = Scopes(module)
        return found

    def meaning(self, module: Module, name: Name) -> Meaning | None:
        return self.scopes(module).meaning(name.name, name.start)

    def truth(self, value: Value) -> bool | None:
        """Whether it counts as true in a test; None if that is not known."""
        return self._choices.truth(value)

    # Text

    def text(self, value: Value, blockers: list[Blocker] | None = None) -> str | None:
        """The one text that it is; None if that is not known. blockers: gets what it hangs on."""
        return self.common_text(self.reduce(value), value.env, blockers)

    def common_text(
        self, values: Iterable[Value], env: Env, blockers: list[Blocker] | None
    ) -> str | None:
        """That of all values; blockers: gets the choice, if each option's text is known."""
        texts: dict[str | None, Value] = {self._text(each, blockers): each for each in values}
        if len(texts) == 1:
            return next(iter(texts))
        if blockers is not None and None not in texts:
            for choice in self._choices.passed(texts.values(), env):
                for tested in self._choices.tested(choice):
                    self.blocked(Value(tested, choice.module, env), blockers)
                blockers.append(choice)
        return None

    def _text(self, value: Value, blockers: list[Blocker] | None) -> str | None:
        match value.expr:
            case Literal(value=bool() | None):
                return None
            case Literal(value=text):
                return str(text)
            case Template() as template:
                return self._joined(value, template, blockers)
            case Member(object=Name(name=owner) | Member(name=owner), name=name):
                known = ENUMERATIONS.get(owner, {}).get(name)
                if known is not None:
                    return known
        if blockers is not None:
            self.blocked(value, blockers)
        return None

    def _joined(
        self, value: Value, template: Template, blockers: list[Blocker] | None
    ) -> str | None:
        key = (value.module.path, template.start, template.end)
        if key in self._joining:  # `name = `${name}-${id}``
            return None
        self._joining.add(key)
        try:
            texts = [self.text(value.of(part), blockers) for part in template.parts]
        finally:
            self._joining.discard(key)
        return None if None in texts else "".join(map(str, texts))

    def blocked(self, value: Value, blockers: list[Blocker], depth: int = _LEVELS) -> None:
        """Note the variable that an unknown value begins with; that of a caller, if it is bound."""
        expr = value.expr
        while isinstance(expr, Member | Index | Awaited):
            if isinstance(expr, Index) and isinstance(expr.key, Name | Member):
                self.blocked(value.of(expr.key), blockers, depth)
            expr = expr.value if isinstance(expr, Awaited) else expr.object
        match expr:
            case Call():
                for part in (expr.receiver, *expr.arguments):
                    if isinstance(part, Name | Member | Index):
                        self.blocked(value.of(part), blockers, depth)
            case Name():
                for each in self._hanging_on(value.of(expr), expr, blockers):
                    if depth:
                        self.blocked(each, blockers, depth - 1)

    def _hanging_on(self, value: Value, name: Name, blockers: list[Blocker]) -> Iterator[Value]:
        """Note a variable that is not bound, else what it hangs on itself."""
        meaning = self.meaning(value.module, name)
        match meaning:
            case Given() | Looped():
                found = Blocker(value.module, meaning)
                given = value.env.get(found.key)
                if given is not None:
                    yield Value(given.expr, given.module, {**value.env, **given.env})
                elif found not in blockers:
                    blockers.append(found)
            case Variable(writes=writes):
                for write in writes:
                    if isinstance(write.value, Record):
                        yield from map(value.of, write.value.spreads)

    # Reduction

    def reduce(self, value: Value) -> list[Value]:
        """What it may be, each as far as it can be followed; absent values are left out."""
        key = (value.module.path, value.expr.start, value.expr.end, type(value.expr).__name__)
        if not self._busy:
            self._steps = 0
        self._steps += 1
        if key in self._busy or len(self._busy) > _DEPTH or self._steps > _MOST_STEPS:
            return [value]
        self._busy.add(key)
        try:
            found = [
                each
                for each in self._reduced(value)
                if not (isinstance(each.expr, Literal) and each.expr.value is None)
            ]
        finally:
            self._busy.discard(key)
        return found

    def _reduced(self, value: Value) -> Sequence[Value]:
        match value.expr:
            case Awaited(value=inner):
                return self.reduce(value.of(inner))
            case Choice():
                return self._choices.of(value, value.expr)
            case Name(name=name) if name != THIS:
                return self._named(value, value.expr)
            case Member():
                return self._fields.of(value, value.expr)
            case Index():
                return self._fields.indexed(value, value.expr)
            case Call():
                return self._calls.of(value, value.expr)
        return [value]

    def _named(self, value: Value, name: Name) -> Sequence[Value]:
        meaning = self.meaning(value.module, name)
        match meaning:
            case Given() | Looped():
                return self._bound(value, meaning)
            case Variable(writes=writes):
                return self._written(value, writes)
            case Import():
                return self.imported(value, meaning)
        if value.module.path.endswith(".vue"):
            return self._auto_imported(name.name) or [value]
        if value.module.language == "dart":
            for path in value.module.imports:
                found = self.imported(value, value.module.imports[path], name.name)
                if path.startswith("*") and found and found[0].expr is not value.expr:
                    return found
        return [value]

    def _auto_imported(self, name: str) -> Sequence[Value]:
        found = self.project.auto_imported(name)
        if found is None:
            return []
        module, export = found
        end = len(module.text)
        return self.reduce(Value(Name(end, end, 1, export.local), module))

    def _bound(self, value: Value, meaning: Given | Looped) -> Sequence[Value]:
        given = value.env.get(Blocker(value.module, meaning).key)
        if given is not None:
            # What a caller gives may hang on the caller's own parameters, bound further out.
            found = self.reduce(Value(given.expr, given.module, {**value.env, **given.env}))
            default = meaning.parameter.default if isinstance(meaning, Given) else None
            return found if found or default is None else self.reduce(value.of(default))
        return [value]

    def _written(self, value: Value, writes: Sequence[Assignment]) -> Sequence[Value]:
        found: list[Value] = []
        for write in writes:
            if write.value is not None:
                found += self.part(value.of(write.value), write.path)
        absent = len(writes) == 1 and writes[0].value is not None
        return found if found or absent else [value]

    def imported(self, value: Value, found: Import, name: str = "") -> Sequence[Value]:
        """What another module exports under a name."""
        target = self.project.imported(value.module, found)
        wanted = name or found.name
        if target is None or wanted == "*":
            return [value]
        exported = self.project.exported(target, wanted)
        if exported is None:
            return [value]
        module, export = exported
        if export.value is not None:
            return self.reduce(Value(export.value, module))
        return self.reduce(Value(Name(len(module.text), len(module.text), 1, export.local), module))

    def part(self, value: Value, path: Path) -> list[Value]:
        """The part of a value that a pattern takes."""
        found = self.reduce(value)
        for step in path:
            found = [each for one in found for each in self._step(one, step)]
        return found

    def taken(self, value: Value, path: Path) -> Value | None:
        """The part that a pattern takes, as one value; None if it is absent."""
        found = self.part(value, path)
        if len(found) < 2:
            return found[0] if found else None
        expr = value.expr
        for step in path:
            start, end, line = expr.start, expr.end, expr.line
            if isinstance(step, str):
                expr = Member(start, end, line, expr, step)
            else:
                expr = Index(start, end, line, expr, Literal(start, end, line, step))
        return value.of(expr)

    def _step(self, value: Value, step: str | int) -> list[Value]:
        match value.expr:
            case Record() if step == REST:
                return [value]
            case Record() if isinstance(step, str):
                found = self._fields.record_field(value, value.expr, step)
                known = bool(found) or self._fields.closed(value, value.expr, step)
                return found if known else [value.of(unknown(value))]
            case Array(items=items) if isinstance(step, int) and step < len(items):
                return self.reduce(value.of(items[step]))
        start, end, line = value.expr.start, value.expr.end, value.expr.line
        if isinstance(step, str):
            return self.reduce(value.of(Member(start, end, line, value.expr, step)))
        return [value.of(unknown(value))]

    def field(self, owner: Value, name: str) -> list[Value] | None:
        """What a field of an object may be; None if it has no such field, empty if that can't be
        told."""
        return self._fields.field(owner, name)

    # Calls

    def functions(self, value: Value) -> list[Value]:
        """The functions of the tree that a call calls."""
        return self._calls.functions(value)

    def bindings(self, function: Value, call: Call, caller: Value) -> list[tuple[Key, Value]]:
        """What a call gives for each parameter."""
        return self._calls.bindings(function, call, caller)

    def callers(self, module: Module, number: int) -> list[tuple[Module, CallSite]]:
        """Where a function of the tree is called, as far as it can be told."""
        return self._callers.of(module, number)
