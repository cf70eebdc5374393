"""Which hub stands for which client, and where it is imported from."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final

from realtime_hub.errors import SettingsError

_HUB: Final = re.compile(
    r"(?:(?P<client>[\w.$()]+)=)?(?P<module>[^#=\s'\"\\]+)(?:#(?P<name>[A-Za-z_$][\w$]*))?"
)


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a hub is imported from. client: whose channels become its subscriptions; empty: any."""

    module: str
    name: str = "hub"
    client: str = ""

    @classmethod
    def parse(cls, text: str) -> Hub:
        """Read `[CLIENT=]MODULE[#NAME]`.

        Raises:
            SettingsError: it is something else.
        """
        found = _HUB.fullmatch(text)
        if found is None:
            raise SettingsError(f"not [CLIENT=]MODULE[#NAME]: {text!r}")
        return cls(found["module"], found["name"] or "hub", found["client"] or "")

    def seen_from(self, path: str) -> str:
        """The module as a file names it; `./` means the migrated folder."""
        if not self.module.startswith("./"):
            return self.module
        folder = posixpath.dirname(path) or "."
        found = posixpath.relpath(posixpath.normpath(self.module), folder)
        return found if found.startswith(".") else f"./{found}"
