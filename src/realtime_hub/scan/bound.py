"""An expression where it stands, with what the variables around it are bound to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from realtime_hub.scan.scopes import Given, Looped
from realtime_hub.scan.syntax import Expr, Module

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
    """A parameter or loop variable whose value is needed and not bound."""

    module: Module
    meaning: Given | Looped

    @property
    def key(self) -> Key:
        match self.meaning:
            case Given(function=number, parameter=parameter):
                return self.module.path, number, parameter.name
            case Looped(loop=loop, name=name):
                return self.module.path, loop.start + 0.5, name
