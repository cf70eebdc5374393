"""New names: told from what they stand for, and free where they are used."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_KINDS: Final = r"(?:realtime)?(?:channel|subscription|subscriber|listener|sub|ch)s?"
_ENDING: Final = re.compile(
    r"(?:(?:realtime)?(?:channel|subscription|sub)|(?<![A-Za-z])ch)s?$", re.IGNORECASE
)
_WHOLE: Final = re.compile(rf"{_KINDS}", re.IGNORECASE)
_BEGINNING: Final = re.compile(r"(?:channel|subscription|sub)(?=[A-Z0-9]|Ref$)")


class Names:
    """Names given in one file. taken: words that it has already."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = taken
        self._given: list[tuple[str, tuple[int, int]]] = []

    def of_holder(self, name: str, several: bool, scope: tuple[int, int]) -> str:
        """For the variable that held a channel: `callsChannel` becomes `unsubscribeCalls`."""
        mark = re.match(r"[#_$]*", name)
        prefix = mark[0] if mark else ""
        return self.free(prefix + _renamed(name[len(prefix) :], several), scope)

    def free(self, wanted: str, scope: tuple[int, int]) -> str:
        """The name, or with a number behind it, that nothing else has in a scope."""
        number, name = 1, wanted
        while self._is_taken(name, scope):
            number += 1
            name = f"{wanted}{number}"
        self._given.append((name, scope))
        return name

    def _is_taken(self, name: str, scope: tuple[int, int]) -> bool:
        bare = name.lstrip("#")
        return bare in self._taken or any(
            bare == given.lstrip("#") and scope[0] < end and start < scope[1]
            for given, (start, end) in self._given
        )


def _renamed(name: str, several: bool) -> str:
    verb = "unsubscribes" if several else "unsubscribe"
    ref = "Ref" if name.endswith("Ref") else ""
    rest = name.removesuffix("Ref")
    rest = "" if _WHOLE.fullmatch(rest) else _BEGINNING.sub("", _ENDING.sub("", rest) or rest)
    return verb + rest[:1].upper() + rest[1:] + ref
