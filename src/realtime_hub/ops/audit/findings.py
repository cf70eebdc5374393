"""What the audit says: one finding per rule and object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from realtime_hub.ops.audit.facts import AuditFacts

DOCS: Final = "docs/rules"


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def weight(self) -> int:
        """3 for errors, 1 for information."""
        return {Level.ERROR: 3, Level.WARNING: 2, Level.INFO: 1}[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    object: `schema.table`, the name of a slot or setting, or `file:line`. subject: what tells
    findings of one rule apart from run to run, unlike a line; the object where it is empty.
    remediation: SQL or text. evidence: the figures that it rests on.
    """

    rule: str
    level: Level
    title: str
    detail: str
    object: str
    remediation: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""
    file: str = ""
    line: int = 0

    @property
    def cache_key(self) -> str:
        """The same for the same finding of a later run; 16 hexadecimal digits."""
        return sha256(f"{self.rule}\0{self.subject or self.object}".encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "rule": self.rule,
            "level": self.level.value,
            "title": self.title,
            "detail": self.detail,
            "object": self.object,
            "remediation": self.remediation,
            "evidence": dict(self.evidence),
            "cache_key": self.cache_key,
        }
        return found | ({"file": self.file, "line": self.line} if self.file else {})


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the audit. id: stable. check: pure."""

    id: str
    name: str
    title: str
    check: Callable[[AuditFacts], Iterator[Finding]]

    @property
    def page(self) -> str:
        """Where it is explained, from the root of the repository."""
        return f"{DOCS}/{self.id}.md"
