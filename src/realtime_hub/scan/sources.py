"""The code of a tree: read once for words, and parsed where Realtime may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from realtime_hub.scan.languages import language_of, read_module
from realtime_hub.scan.model import Statement
from realtime_hub.scan.syntax import Module
from realtime_hub.scan.walking import Found, NotReadableError, Walk, is_minified, text_of

Progress = Callable[[int, int], None]

REALTIME: Final = re.compile(
    r"postgres_?changes|(?:\b|_)channel\s*\(|phx_join|\bstream\s*\(\s*primaryKey"
    r"|realtime[-_]hub\b|\.on\s*\(\s*['\"`](?:INSERT|UPDATE|DELETE|\*)['\"`]"
    r"|\.from\s*\([^()]{0,80}\)\s*\.on\s*\(",
    re.IGNORECASE,
)

# Plain searches are many times faster than the expression, and most files have none of these.
_HINTS: Final = ("ostgres", "OSTGRES", "hannel", "phx_join", "primaryKey", "ealtime", ".on(")
_WORD: Final = re.compile(r"[A-Za-z_$][\w$]{2,}")


class Sources:
    """Files by path, with those that were not read whole."""

    def __init__(self, root: Path, tops: Sequence[Path]) -> None:
        walk = Walk(root)
        found = [each for top in tops for each in walk.files_of(top)]
        self.code: dict[str, Found] = {f.path: f for f in found if language_of(f.path)}
        self.sql: dict[str, Found] = {f.path: f for f in found if f.path.endswith(".sql")}
        self.unparsed = walk.closed
        self._unreadable: set[str] = set()
        self._paths = list(self.code)
        self._words: dict[str, list[int]] = {}

    def relevant(self, progress: Progress) -> list[Module]:
        """Modules of the files that speak of Realtime."""
        modules = []
        for number, path in enumerate(self.code):
            progress(number, len(self.code))
            text = self._text(path)
            if text is None:
                continue
            for word in set(_WORD.findall(text)):
                self._words.setdefault(word, []).append(number)
            module = self._parsed(path, text) if _speaks_of_realtime(text) else None
            if module is not None:
                modules.append(module)
        progress(len(self.code), len(self.code))
        return modules

    def load(self, path: str) -> Module | None:
        """One more module; None if it can't be read."""
        text = self._text(path) if path in self.code else None
        return None if text is None else self._parsed(path, text)

    def mentions(self, name: str) -> set[str]:
        """The files in which a name stands as a word."""
        return {self._paths[number] for number in self._words.get(name, ())}

    def publication(self) -> list[Statement]:
        """What the tree's SQL says of publications."""
        if not self.sql:
            return []
        # PostgreSQL's parser takes a while to load, and most folders hold no SQL.
        from realtime_hub.scan.publications import statements

        found: list[Statement] = []
        for path in self.sql:
            text = self._text(path)
            if text is not None:
                found += statements(path, text)
        return found

    def _text(self, path: str) -> str | None:
        if path in self._unreadable:
            return None
        try:
            return text_of((self.code.get(path) or self.sql[path]).place)
        except NotReadableError:
            self._unreadable.add(path)
            self.unparsed.add(path)
            return None

    def _parsed(self, path: str, text: str) -> Module | None:
        if is_minified(text):
            self.unparsed.add(path)
            return None
        try:
            module = read_module(path, text)
        except RecursionError:
            self.unparsed.add(path)
            return None
        if module.damaged:
            self.unparsed.add(path)
        return module


def _speaks_of_realtime(text: str) -> bool:
    return any(hint in text for hint in _HINTS) and REALTIME.search(text) is not None
