"""What a migration says: files as they would be, and channels that are left as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = 1


class LeftError(Exception):
    """A channel can't be rewritten safely; says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Text between two offsets, and what takes its place."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """A channel that stays as it is. file: relative to the folder. line: from 1."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Moved:
    """A channel that becomes subscriptions of a hub. line: of the channel, before."""

    file: str
    line: int
    tables: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "tables": list(self.tables)}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file's text after, with what was done and what was left."""

    text: str
    moved: Sequence[Moved]
    left: Sequence[Left]


@dataclass(frozen=True, slots=True)
class Change:
    """A file, before and after. path: relative to the folder, POSIX."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Migration:
    """All that would change, and all that would not."""

    files: int
    changes: Sequence[Change] = ()
    moved: Sequence[Moved] = ()
    left: Sequence[Left] = ()

    def as_json(self) -> dict[str, Any]:
        """The document of `realtime-hub migrate --format json`, but for the diff."""
        return {
            "schema": SCHEMA,
            "files": self.files,
            "changed": [change.path for change in self.changes],
            "migrated": [each.as_json() for each in self.moved],
            "left": [each.as_json() for each in self.left],
        }


def edited(text: str, edits: Sequence[Edit]) -> str:
    """The text with edits made; they don't overlap."""
    parts: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        if edit.start < position:
            raise LeftError("its parts can't be told apart")
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*parts, text[position:]])
