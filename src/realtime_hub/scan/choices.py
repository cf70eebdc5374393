"""Conditional expressions and fallbacks: which option is taken, as far as that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from realtime_hub.scan.bound import Blocker, Env, Key, Value
from realtime_hub.scan.scopes import Variable
from realtime_hub.scan.syntax import (
    Array,
    Call,
    Choice,
    Expr,
    Lambda,
    Literal,
    Member,
    Name,
    Record,
    Template,
    Test,
    walk,
)

if TYPE_CHECKING:
    from realtime_hub.scan.values import Values


_KINDS: Final = {
    Array: "list",
    Lambda: "function",
    Literal: "string",
    Record: "object",
    Template: "string",
}


class Choices:
    """Follows options, and knows through which choices a value came."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._known: dict[Key, Blocker] = {}

    def passed(self, values: Iterable[Value], env: Env) -> list[Blocker]:
        """The choices between an expression in an environment and what it may be; a choice before
        those within its options."""
        keys = dict.fromkeys(key for each in values for key in each.env if key not in env)
        found = [self._known[key] for key in keys if key in self._known]
        return sorted(found, key=lambda each: -_length(each))

    @staticmethod
    def tested(blocker: Blocker) -> list[Name]:
        """The variables that a choice hangs on."""
        choice = blocker.meaning
        test = choice.test if isinstance(choice, Choice) else None
        return [] if test is None else [each for each in walk(test) if isinstance(each, Name)]

    def of(self, value: Value, choice: Choice) -> Sequence[Value]:
        """What it may be; each option notes in its environment that it was taken."""
        blocker = Blocker(value.module, choice)
        taken = value.env.get(blocker.key)
        if taken is not None:
            return self._values.reduce(value.of(taken.expr))
        self._known[blocker.key] = blocker
        options = choice.options
        decided = None if choice.test is None else self.truth(value.of(choice.test))
        if decided is not None and len(options) == 2:
            return self._values.reduce(value.of(options[0 if decided else 1]))
        possible = list(self._possible(value, choice))
        if len(possible) == 1:
            return self._values.reduce(value.of(possible[0]))
        found: list[Value] = []
        for each in possible:
            env = {**value.env, blocker.key: value.of(each)}
            found += self._values.reduce(Value(each, value.module, env))
        return found

    def _possible(self, value: Value, choice: Choice) -> Iterator[Expr]:
        """Options of a fallback up to the first that is always there, without those that never
        are."""
        for each in choice.options:
            truth = self.truth(value.of(each)) if choice.fallback else None
            if truth is not False:
                yield each
            if truth:
                return

    def truth(self, value: Value) -> bool | None:
        """Whether a test of a value holds, each time that it is made; None if that is not known."""
        match value.expr:
            case Test() as test:
                return self._tested(value, test)
            case Call(method="isArray", arguments=(inner, *_)):
                return self._is_of("list", value.of(inner))
            case Call(method="isinstance", arguments=(inner, Name(name="str"))):
                return self._is_of("string", value.of(inner))
            case Call(method="isinstance", arguments=(inner, Name(name="list" | "tuple"))):
                return self._is_of("list", value.of(inner))
        base: Expr = value.expr
        while isinstance(base, Member):
            base = base.object
        if isinstance(base, Name):
            meaning = self._values.meaning(value.module, base)
            if isinstance(meaning, Variable) and len(meaning.writes) > 1:
                return None
        elif not isinstance(base, Literal):
            return None
        said = {_is_true(each.expr) for each in self._values.reduce(value)} or {False}
        return said.pop() if len(said) == 1 else None

    def _same(self, left: Value, right: Value) -> bool | None:
        for value, other in ((left, right), (right, left)):
            if isinstance(other.expr, Literal) and other.expr.value is None:
                found = {_is_there(each.expr) for each in self._values.reduce(value)} or {False}
                return None if None in found else found == {False}
        texts = [self._text(each) for each in (left, right)]
        return None if None in texts else len(set(texts)) == 1

    def _kind(self, value: Value) -> str | None:
        """As `typeof` says it, but for "list"; None if it may be of several, or is not known."""
        found = {_KINDS.get(type(each.expr)) for each in self._values.reduce(value)}
        return found.pop() if len(found) == 1 else None

    def _is_of(self, kind: str, value: Value) -> bool | None:
        found = self._kind(value)
        return None if found is None else found == kind

    def _text(self, value: Value) -> str | None:
        match value.expr:
            case Call(method="typeof", arguments=(inner,)):
                found = self._kind(value.of(inner))
                return "object" if found == "list" else found
        return self._values.text(value)

    def _tested(self, value: Value, test: Test) -> bool | None:
        parts = [value.of(each) for each in test.operands]
        if test.operator in {"==", "!="}:
            same = self._same(*parts) if len(parts) == 2 else None  # damaged code has more
            return None if same is None else same is (test.operator == "==")
        said = [self.truth(each) for each in parts]
        if test.operator == "not":
            return None if said[0] is None else not said[0]
        decisive = test.operator == "or"
        if decisive in said:
            return decisive
        return None if None in said else not decisive


def _length(blocker: Blocker) -> int:
    choice = blocker.meaning
    return choice.end - choice.start if isinstance(choice, Choice) else 0


def _is_there(expr: Expr) -> bool | None:
    """Whether it is something else than null; None if that is not known."""
    return True if type(expr) in _KINDS else None


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
