"""Conditional expressions and fallbacks: which option is taken, as far as that is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from realtime_hub.scan.bound import Blocker, Env, Key, Value
from realtime_hub.scan.scopes import Variable
from realtime_hub.scan.syntax import Array, Choice, Expr, Lambda, Literal, Member, Name, Record

if TYPE_CHECKING:
    from realtime_hub.scan.values import Values


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

    def of(self, value: Value, choice: Choice) -> Sequence[Value]:
        """What it may be; each option notes in its environment that it was taken."""
        blocker = Blocker(value.module, choice)
        taken = value.env.get(blocker.key)
        if taken is not None:
            return self._values.reduce(value.of(taken.expr))
        self._known[blocker.key] = blocker
        options = choice.options
        decided = None if choice.test is None else self._truth(value.of(choice.test))
        if decided is not None and len(options) == 2:
            return self._values.reduce(value.of(options[0 if decided else 1]))
        found: list[Value] = []
        for each in options:
            env = {**value.env, blocker.key: value.of(each)}
            found += self._values.reduce(Value(each, value.module, env))
            if choice.fallback and self._truth(value.of(each)):
                break
        return found

    def _truth(self, value: Value) -> bool | None:
        """Whether a test of a value holds, each time that it is made; None if that is not known."""
        base = value.expr
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


def _length(blocker: Blocker) -> int:
    choice = blocker.meaning
    return choice.end - choice.start if isinstance(choice, Choice) else 0


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
