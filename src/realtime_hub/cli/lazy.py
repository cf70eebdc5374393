"""Commands that are imported when they are asked for: most of a command's start is its imports."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

MODULES: Final = {
    "demo": "demo",
    "tail": "tail",
    "top": "top",
    "doctor": "database",
    "init": "database",
    "uninstall": "database",
    "explain-policy": "explain",
    "audit": "audit",
    "scan": "scan",
    "migrate": "migrate",
    "slim": "slim",
    "baseline": "report",
    "report": "report",
    "slots": "slots",
}
"""The module of this package whose `register` adds the command."""


class _Commands(UserDict[str, Any]):
    """Click's commands by name; one that is missing yet is a module's name."""

    def __getitem__(self, name: str) -> Any:
        command = self.data[name]
        if isinstance(command, str):
            app = typer.Typer(rich_markup_mode="markdown")
            import_module(f"{__package__}.{command}").register(app)
            self.data.update(typer.main.get_group(app).commands)
        return self.data[name]


class LazyGroup(TyperGroup):
    """The group of all commands; those of `MODULES` come behind its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands({**self.commands, **MODULES})
