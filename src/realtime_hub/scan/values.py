"""What an expression's value is, as far as the source says: names, fields, calls and imports are
followed, parameters and loop variables as far as they are bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from realtime_hub.scan.bound import Blocker, Env, Key, Value
from realtime_hub.scan.callers import Callers
from realtime_hub.scan.project import Project
from realtime_hub.scan.scopes import Given, Looped, Meaning, Scopes, Variable
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
    Import,
    Index,
    Lambda,
    Literal,
    Member,
    Module,
    Name,
    Opaque,
    Path,
    Record,
    Template,
)
from realtime_hub.scan.vocabulary import CHAINED, CONSTRUCTORS, ENUMERATIONS, MAKING, OPTIONS

_DEPTH: Final = 40
_LEVELS: Final = 8
_MOST_STEPS: Final = 5_000
_MEMOS: Final = frozenset({"useMemo", "computed", "memo", "lazy", "once"})
_CALLBACKS: Final = frozenset({"useCallback", "useEvent", "useEffectEvent", "markRaw", "freeze"})
_WRAPPING: Final = frozenset({"defineStore", "createSharedComposable", "createGlobalState"})
_BOXES: Final = frozenset({"useRef", "ref", "shallowRef", "useState", "signal"})


class Values:
    def __init__(self, project: Project) -> None:
        self.project = project
        self._scopes: dict[str, Scopes] = {}
        self._callers = Callers(self)
        self._choices: dict[Key, Blocker] = {}
        self._busy: set[tuple[str, int, int, str]] = set()
        self._steps = 0

    def scopes(self, module: Module) -> Scopes:
        found = self._scopes.get(module.path)
        if found is None or found.module is not module:
            found = self._scopes[module.path] = Scopes(module)
        return found

    def meaning(self, module: Module, name: Name) -> Meaning | None:
        return self.scopes(module).meaning(name.name, name.start)

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
            keys = {key for each in texts.values() for key in each.env.keys() - env.keys()}
            blockers += [self._choices[key] for key in keys & self._choices.keys()]
        return None

    def _text(self, value: Value, blockers: list[Blocker] | None) -> str | None:
        match value.expr:
            case Literal(value=bool() | None):
                return None
            case Literal(value=text):
                return str(text)
            case Template(parts=parts):
                texts = [self.text(value.of(part), blockers) for part in parts]
                return None if None in texts else "".join(map(str, texts))
            case Member(object=Name(name=owner) | Member(name=owner), name=name):
                known = ENUMERATIONS.get(owner, {}).get(name)
                if known is not None:
                    return known
        if blockers is not None:
            self.blocked(value, blockers)
        return None

    def blocked(self, value: Value, blockers: list[Blocker], depth: int = _LEVELS) -> None:
        """Note the variable that an unknown value begins with; that of a caller, if it is bound."""
        expr = value.expr
        while isinstance(expr, Member | Index | Awaited):
            expr = expr.value if isinstance(expr, Awaited) else expr.object
        if isinstance(expr, Call):
            for part in (expr.receiver, *expr.arguments):
                if part is not None and isinstance(part, Name | Member | Index):
                    self.blocked(value.of(part), blockers, depth)
            return
        if isinstance(expr, Name):
            meaning = self.meaning(value.module, expr)
            if isinstance(meaning, Given | Looped):
                found = Blocker(value.module, meaning)
                given = value.env.get(found.key)
                if given is None and found not in blockers:
                    blockers.append(found)
                elif given is not None and depth:
                    env = {**value.env, **given.env}
                    self.blocked(Value(given.expr, given.module, env), blockers, depth - 1)

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
                return self._chosen(value, value.expr)
            case Name(name=name) if name != THIS:
                return self._named(value, value.expr)
            case Member(object=owner, name=name):
                return self._member(value, value.expr, owner, name)
            case Index(object=owner, key=key):
                return self._indexed(value, owner, key)
            case Call():
                return self._called(value, value.expr)
        return [value]

    def _chosen(self, value: Value, choice: Choice) -> Sequence[Value]:
        blocker = Blocker(value.module, choice)
        taken = value.env.get(blocker.key)
        if taken is not None:
            return self.reduce(value.of(taken.expr))
        self._choices[blocker.key] = blocker
        options = choice.options
        decided = None if choice.test is None else self._truth(value.of(choice.test))
        if decided is not None and len(options) == 2:
            return self.reduce(value.of(options[0 if decided else 1]))
        found: list[Value] = []
        for each in options:
            env = {**value.env, blocker.key: value.of(each)}
            found += self.reduce(Value(each, value.module, env))
            if choice.fallback and self._truth(value.of(each)):
                break
        return found

    def _truth(self, value: Value) -> bool | None:
        """Whether a test of a value holds, each time that it is made; None if that is not known."""
        base = value.expr
        while isinstance(base, Member):
            base = base.object
        if isinstance(base, Name):
            meaning = self.meaning(value.module, base)
            if isinstance(meaning, Variable) and len(meaning.writes) > 1:
                return None
        elif not isinstance(base, Literal):
            return None
        said = {_is_true(each.expr) for each in self.reduce(value)} or {False}
        return said.pop() if len(said) == 1 else None

    def _named(self, value: Value, name: Name) -> Sequence[Value]:
        meaning = self.meaning(value.module, name)
        match meaning:
            case Given() | Looped():
                return self._bound(value, meaning)
            case Variable(writes=writes):
                return self._written(value, writes)
            case Import():
                return self._imported(value, meaning)
        if value.module.path.endswith(".vue"):
            return self._auto_imported(name.name) or [value]
        if value.module.language == "dart":
            for path in value.module.imports:
                found = self._imported(value, value.module.imports[path], name.name)
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
            return self.reduce(Value(given.expr, given.module, {**value.env, **given.env}))
        return [value]

    def _written(self, value: Value, writes: Sequence[Assignment]) -> Sequence[Value]:
        found: list[Value] = []
        for write in writes:
            if write.value is not None:
                found += self.part(value.of(write.value), write.path)
        absent = len(writes) == 1 and writes[0].value is not None
        return found if found or absent else [value]

    def _imported(self, value: Value, found: Import, name: str = "") -> Sequence[Value]:
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
            case Record() if isinstance(step, str):
                found = self.record_field(value, value.expr, step)
                known = bool(found) or self._closed(value, value.expr)
                return found if known else [value.of(_unknown(value))]
            case Array(items=items) if isinstance(step, int) and step < len(items):
                return self.reduce(value.of(items[step]))
        start, end, line = value.expr.start, value.expr.end, value.expr.line
        if isinstance(step, str):
            return self.reduce(value.of(Member(start, end, line, value.expr, step)))
        return [value.of(_unknown(value))]

    # Members

    def _member(self, value: Value, member: Member, owner: Expr, name: str) -> Sequence[Value]:
        found = self._field_of(value, member, self._owners(value, owner))
        return [value] if found == [] else found or []

    def _owners(self, value: Value, owner: Expr) -> Sequence[Value]:
        if isinstance(owner, Name) and owner.name == THIS:
            return [value.of(owner)]
        return self.reduce(value.of(owner))

    def _of_owner(self, value: Value, name: str) -> list[Value] | None:
        """None: an object made with named arguments lacks it."""
        match value.expr:
            case Record():
                return self.record_field(value, value.expr, name)
            case Literal() if name == "value":  # of a Python enumeration's member
                return [value]
            case Lambda(function=number):
                return self._static(value, value.module.functions[number], name)
            case Call() if value.expr.method in OPTIONS:
                given = value.expr.argument(-1, name)
                return None if given is None else self.reduce(value.of(given))
            case Call(new=new) if new or value.module.language in {"python", "dart"}:
                return self._of_instance(value, value.expr, name)
            case Call() if value.expr.method in _BOXES and name in {"current", "value"}:
                first = value.expr.arguments[:1]
                return [each for one in first for each in self.reduce(value.of(one))]
            case Name(name=owner) if owner == THIS:
                return self._of_this(value, name)
            case Name():
                return self._of_module(value, value.expr, name)
        return []

    def field(self, owner: Value, name: str) -> list[Value] | None:
        """What a field of an object may be; None if it has no such field, empty if that can't be
        told."""
        start, end, line = owner.expr.start, owner.expr.end, owner.expr.line
        return self._field_of(owner, Member(start, end, line, owner.expr, name), self.reduce(owner))

    def _field_of(
        self, value: Value, member: Member, owners: Sequence[Value]
    ) -> list[Value] | None:
        found: list[Value] = []
        for write in self.scopes(value.module).fields(member):
            if write.value is not None:
                found += self.part(value.of(write.value), write.path)
        known = bool(owners)
        for each in owners:
            own = self._of_owner(each, member.name)
            if isinstance(each.expr, Record):
                known = known and self._closed(each, each.expr)
            elif not (isinstance(each.expr, Call) and each.expr.keywords and own is None):
                known = False
            found += own or ()
        return found or (None if known else [])

    def _closed(self, value: Value, record: Record) -> bool:
        """All of an object's fields can be told."""
        return all(
            isinstance(each.expr, Record) and self._closed(each, each.expr)
            for spread in record.spreads
            for each in self.reduce(value.of(spread))
        )

    def record_field(self, value: Value, record: Record, name: str) -> list[Value]:
        own = record.get(name)
        if own is not None:
            return self.reduce(value.of(own))
        found: list[Value] = []
        for spread in record.spreads:
            for each in self.reduce(value.of(spread)):
                if isinstance(each.expr, Record):
                    found += self.record_field(each, each.expr, name)
        return found

    def _static(self, value: Value, function: Function, name: str) -> list[Value]:
        if not function.is_class:
            return []
        return self._class_field(value, function.receiver, name)

    def _class_field(self, value: Value, receiver: int, name: str) -> list[Value]:
        module = value.module
        for function in module.functions:
            if function.method and function.receiver == receiver and function.name == name:
                lambda_ = Lambda(function.start, function.end, function.line, function.number)
                return [Value(lambda_, module, value.env)]
        this = (THIS, receiver, name)
        scopes = self.scopes(module)
        found: list[Value] = []
        for write in module.assignments:
            target = write.target
            named = isinstance(target, Member) and target.name == name
            if named and write.value is not None and scopes.place(target) == this:
                found += self.part(Value(write.value, module, value.env), write.path)
        return found

    def _of_instance(self, value: Value, call: Call, name: str) -> list[Value]:
        found: list[Value] = []
        for each in self.reduce(value.of(call.function)):
            if isinstance(each.expr, Lambda):
                function = each.module.functions[each.expr.function]
                if function.is_class:
                    found += self._class_field(each, function.receiver, name)
        return found

    def _of_this(self, value: Value, name: str) -> list[Value]:
        receiver = self.scopes(value.module).receiver(value.expr.start)
        if receiver < 0:
            return []
        return [
            each
            for each in self._class_field(value, receiver, name)
            if isinstance(each.expr, Lambda)
        ]

    def _of_module(self, value: Value, owner: Name, name: str) -> list[Value]:
        meaning = self.meaning(value.module, owner)
        if not isinstance(meaning, Import) or meaning.name != "*":
            return []
        found = list(self._imported(value, meaning, name))
        return [each for each in found if each.expr is not value.expr]

    def _indexed(self, value: Value, owner: Expr, key: Expr) -> Sequence[Value]:
        name = self.text(value.of(key))
        found: list[Value] = []
        for each in self.reduce(value.of(owner)):
            if name is not None and isinstance(each.expr, Record):
                found += self.record_field(each, each.expr, name)
            elif name is not None and isinstance(each.expr, Array) and name.isdigit():
                items = each.expr.items
                if int(name) < len(items):
                    found += self.reduce(each.of(items[int(name)]))
        return found or [value]

    # Calls

    def _called(self, value: Value, call: Call) -> Sequence[Value]:
        if call.new:
            return [value]
        name = call.method
        if name in _MEMOS | _CALLBACKS and call.arguments:
            found = self.reduce(value.of(call.arguments[0]))
            return found if name in _CALLBACKS else [r for f in found for r in self._result(f, ())]
        if name in _WRAPPING:
            lambdas = [each for each in call.arguments if isinstance(each, Lambda)]
            return [value.of(lambdas[0])] if lambdas else [value]
        if name in CHAINED:
            made = self._chain_start(value, call)
            if made:
                return made
        functions = self.functions(value)
        if functions:
            results = [
                result
                for function in functions
                for result in self._result(function, self.bindings(function, call, value))
            ]
            return results or [value]
        return [value]

    def _chain_start(self, value: Value, call: Call) -> list[Value]:
        """The channel that a chain of calls on it begins with; empty if it is something else."""
        start: Expr = call
        while isinstance(start, Call) and start.method in CHAINED and start.receiver is not None:
            start = start.receiver
        found = [] if start is call else self.reduce(value.of(start))
        known = [each for each in found if isinstance(each.expr, Call)]
        made = any(each.expr.method in MAKING for each in known if isinstance(each.expr, Call))
        given = any(not isinstance(each.expr, Call) for each in found)
        return found if made or (given and not known) else []

    def _result(self, function: Value, bound: Iterable[tuple[Key, Value]]) -> list[Value]:
        if not isinstance(function.expr, Lambda):
            return []
        env = {**function.env, **dict(bound)}
        returns = function.module.functions[function.expr.function].returns
        return [each for one in returns for each in self.reduce(Value(one, function.module, env))]

    def functions(self, value: Value) -> list[Value]:
        """The functions of the tree that a call calls."""
        if not isinstance(value.expr, Call):
            return []
        return [
            each
            for each in self.reduce(value.of(value.expr.function))
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
        found: list[tuple[Key, Value]] = []
        for parameter in target.parameters:
            key = (module.path, target.number, parameter.name)
            given = call.argument(parameter.position, parameter.keyword)
            taken = None if given is None else self.taken(caller.of(given), parameter.path)
            if taken is not None:
                found.append((key, taken))
            elif parameter.default is not None:
                found.append((key, Value(parameter.default, module, function.env)))
            else:
                found.append((key, caller.of(Literal(call.start, call.end, call.line, None))))
        return found

    def callers(self, module: Module, number: int) -> list[tuple[Module, CallSite]]:
        """Where a function of the tree is called, as far as it can be told."""
        return self._callers.of(module, number)


def _is_true(expr: Expr) -> bool | None:
    match expr:
        case Literal(value="0"):
            return None  # a text, or a number
        case Literal(value=known):
            return bool(known)
        case Record(fields=parts) | Array(items=parts):
            return True if parts else None  # they differ between languages
        case Lambda():
            return True
    return None


def _unknown(value: Value) -> Opaque:
    return Opaque(value.expr.start, value.expr.end, value.expr.line)
