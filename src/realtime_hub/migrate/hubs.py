"""Which hub stands for which client, and where it is imported from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from keyword import iskeyword
from typing import Final

from realtime_hub.errors import SettingsError

_HUB: Final = re.compile(
    r"(?:(?P<client>[\w.$()]+)=)?(?P<module>[^#=\s'\"\\]+)(?:#(?P<name>[A-Za-z_$][\w$]*))?"
)


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a hub is imported from.

    client: whose channels become its subscriptions; empty: any. python: it is of Python, and
    `module` what Python calls it.
    """

    module: str
    name: str = "hub"
    client: str = ""
    python: bool = False

    @classmethod
    def parse(cls, text: str, *, python: bool = False) -> Hub:
        """Read `[CLIENT=]MODULE[#NAME]`.

        Raises:
            SettingsError: it is something else.
        """
        found = _HUB.fullmatch(text)
        if found is None:
            raise SettingsError(f"not [CLIENT=]MODULE[#NAME]: {text!r}")
        module, name = found["module"], found["name"] or "hub"
        if python and not all(map(_is_name, [*module.split("."), name])):
            raise SettingsError(f"not a module of Python, such as app.realtime: {text!r}")
        return cls(module, name, found["client"] or "", python)

    def seen_from(self, path: str) -> str:
        """The module as a file names it; `./` means the migrated folder."""
        if not self.module.startswith("./"):
            return self.module
        folder = posixpath.dirname(path) or "."
        found = posixpath.relpath(posixpath.normpath(self.module), folder)
        return found if found.startswith(".") else f"./{found}"

    def is_module(self, path: str) -> bool:
        """Whether a file of Python may be the hub's own module; each may be known from a folder
        further in than the other."""
        own = f".{self.module}"
        found = "." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return own.endswith(found) or found.endswith(own)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


HubOf = Callable[[str], Hub]
"""The hub of a client, by its source text; raises LeftError if there is none."""
