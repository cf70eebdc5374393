"""An expression where it stands, with what the variables around it are bound to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from realtime_hub.scan.scopes import Given, Looped
from realtime_hub.scan.syntax import Choice, Expr, Module

CHOSEN: Final = "?"

Key = tuple[str, object, str]
Env = Mapping[Key, "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """An expression where it stands, and what parameters around it are bound to."""

    expr: Expr
    module: Module
    env: Env = field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.module.code(self.expr)

    def of(self, expr: Expr) -> Value:
        return Value(expr, self.module, self.env)


@dataclass(frozen=True, slots=True)
class Blocker:
    """What is needed and not bound: a parameter, a loop variable, which of several options."""

    module: Module
    meaning: Given | Looped | Choice

    @property
    def key(self) -> Key:
        match self.meaning:
            case Given(function=number, parameter=parameter):
                return self.module.path, number, parameter.name
            case Looped(loop=loop, name=name):
                return self.module.path, loop.start + 0.5, name
            case Choice(start=start, end=end):
                return self.module.path, (start, end), CHOSEN
