"""What a scan says: channels, what they listen to, and where; see `Scan.as_json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SCHEMA: Final = 1
CHANGES: Final = "postgres_changes"
ANY: Final = "*"


class Style(StrEnum):
    """How a channel is written: supabase-js 2, its first version, Dart's streams, bare frames."""

    CHANNEL = "channel"
    V1 = "v1"
    STREAM = "stream"
    RAW = "raw"


class Cleanup(StrEnum):
    """How a channel is closed.

    yes: where its owner ends. caller: by who called its owner. manual: by a function that nothing
    calls on its own. all: with all others. returned: its owner returns what closes it, and no
    caller is known. partial: on some ways out only. leak: what closes it is not reached.
    """

    YES = "yes"
    CALLER = "caller"
    MANUAL = "manual"
    ALL = "all"
    RETURNED = "returned"
    PARTIAL = "partial"
    LEAK = "leak"
    NONE = "none"


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets in the characters of a file's text."""

    start: int
    end: int

    def holds(self, offset: int) -> bool:
        return self.start <= offset < self.end


@dataclass(frozen=True, slots=True)
class Term:
    """A field of a binding: its text if proven, else the source expression; None if not given."""

    text: str | None = None
    proven: bool = True


@dataclass(frozen=True, slots=True)
class Binding:
    """One thing that a channel listens to.

    file: where it stands, which may differ from its channel's. call: the whole expression up to
    this call's end; opening: offset of its parenthesis; options, handler: of its arguments.
    """

    file: str
    line: int
    kind: str
    event: Term
    schema: Term
    table: Term
    filter: Term
    call: Span
    opening: int = 0
    options: Span | None = None
    handler: Span | None = None

    @property
    def proven(self) -> bool:
        """What is listened to is known; the filter may hang on values."""
        return self.event.proven and self.schema.proven and self.table.proven

    @property
    def unresolved(self) -> list[str]:
        """Names of the fields that only running code knows."""
        names = ("event", "schema", "table", "filter")
        return [name for name in names if not getattr(self, name).proven]

    def as_json(self, file: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "line": self.line,
            "kind": self.kind,
            "event": self.event.text,
            "schema": self.schema.text,
            "table": self.table.text,
            "filter": self.filter.text,
            "resolution": "proven" if self.proven else "dynamic",
            "unresolved": self.unresolved,
        }
        return found | ({} if self.file == file else {"file": self.file})


@dataclass(frozen=True, slots=True)
class Closing:
    """A call that closes a channel. statement: around it, up to the line's end where it is one."""

    file: str
    line: int
    method: str
    call: Span
    statement: Span

    def as_json(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "call": self.method}


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, where it is made.

    name: source expression. shared: of the project's own hub, which many listeners share.
    variable: the expression that it is assigned to, if any. call: that which makes it; client:
    what it is called on; chain: the longest chain of calls that begins with it; statement: around
    the chain. subscribe: calls that open it, from their chain's start. closings: calls that close
    it; ending: those that close it with others.
    """

    file: str
    line: int
    owner: str
    name: str
    name_kind: str
    unique_per_mount: bool
    style: Style
    cleanup: Cleanup
    reachable: bool
    in_render: bool
    bindings: Sequence[Binding]
    commented: bool = False
    shared: bool = False
    variable: str | None = None
    call: Span = Span(0, 0)
    client: Span = Span(0, 0)
    chain: Span = Span(0, 0)
    statement: Span = Span(0, 0)
    subscribe: Sequence[Span] = ()
    closings: Sequence[Closing] = ()
    ending: Sequence[Closing] = ()

    @property
    def closed_by(self) -> list[Closing]:
        """All calls that may close it."""
        return sorted((*self.closings, *self.ending), key=lambda each: (each.file, each.line))

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "owner": self.owner,
            "name": self.name,
            "name_kind": self.name_kind,
            "unique_per_mount": self.unique_per_mount,
            "style": self.style.value,
            "cleanup": self.cleanup.value,
            "closed_by": [each.as_json() for each in self.closed_by],
            "reachable": self.reachable,
            "in_render": self.in_render,
            "commented_out": self.commented,
            "shared": self.shared,
            "bindings": [binding.as_json(self.file) for binding in self.bindings],
        }


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription in effect. place: of the component's own line that brings it about.
    via: the wrapper's binding, if it comes through one. owner: as of a channel. shared: a hub
    gives it the same channel as others."""

    table: str
    schema: str
    event: str
    filter: Term
    place: Place
    binding: Place
    owner: str = ""
    proven: bool = True
    shared: bool = False

    @property
    def via(self) -> str | None:
        return None if self.place == self.binding else str(self.binding)

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "schema": self.schema,
            "event": self.event,
            "filter": self.filter.text,
            "file": self.place.file,
            "line": self.place.line,
            "owner": self.owner,
            "via": self.via,
            "shared": self.shared,
            "binding": {"file": self.binding.file, "line": self.binding.line},
        }


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about a publication in a migration. action: create, add, set, drop."""

    file: str
    line: int
    action: str
    tables: Sequence[str]
    publication: str

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "action": self.action,
            "tables": list(self.tables),
            "publication": self.publication,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """An error in the source. rule: stable id."""

    rule: str
    level: Level
    file: str
    line: int
    title: str
    detail: str
    remediation: str

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "level": self.level.value,
            "file": self.file,
            "line": self.line,
            "title": self.title,
            "detail": self.detail,
            "remediation": self.remediation,
        }


@dataclass(frozen=True, slots=True)
class Scan:
    """All that was found.

    files: how many were looked at. unparsed: those that were not read whole. unresolved: what
    would be subscriptions if their tables were known.
    """

    files: int
    unparsed: Sequence[str] = ()
    channels: Sequence[Channel] = ()
    subscriptions: Sequence[Subscription] = ()
    unresolved: Sequence[Subscription] = ()
    publication: Sequence[Statement] = ()
    findings: Sequence[Finding] = ()

    def as_json(self) -> dict[str, Any]:
        """The document of `realtime-hub scan --format json`."""
        return {
            "schema": SCHEMA,
            "files": self.files,
            "unparsed": list(self.unparsed),
            "channels": [channel.as_json() for channel in self.channels],
            "subscriptions": [each.as_json() for each in self.subscriptions],
            "unresolved": [each.as_json() for each in self.unresolved],
            "publication": [each.as_json() for each in self.publication],
            "findings": [finding.as_json() for finding in self.findings],
        }
