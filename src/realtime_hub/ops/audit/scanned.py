"""A scanner's JSON document as values; what it must look like is checked here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from realtime_hub.changes import TableName
from realtime_hub.errors import SettingsError

SCHEMA: Final = 1
_CHANGES: Final = "postgres_changes"


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription in effect, wrappers and loops resolved. shared: through a hub, so that it
    opens no channel of its own."""

    table: TableName
    event: str
    filter: str
    file: str
    line: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """A `postgres_changes` binding. proven: its table is known from the source alone."""

    line: int
    event: str
    table: str
    filter: str
    proven: bool


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the source. owner: component or function; cleanup: as the scanner says it."""

    file: str
    line: int
    owner: str
    name: str
    unique: bool
    cleanup: str
    reachable: bool
    in_render: bool
    bindings: Sequence[Binding]


@dataclass(frozen=True, slots=True)
class Reported:
    """An error that the scanner found in the code itself."""

    rule: str
    file: str
    line: int
    detail: str
    remediation: str


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What was found in source code.

    unparsed: files that could not be read. open: places of subscriptions whose table only running
    code knows, callers and loops followed; None in documents that do not say.
    """

    files: int
    unparsed: Sequence[str]
    channels: Sequence[Channel]
    subscriptions: Sequence[Subscribed]
    open: Sequence[str] | None = None
    errors: Sequence[Reported] = ()

    def on(self, table: TableName) -> list[Subscribed]:
        return [found for found in self.subscriptions if found.table == table]

    @property
    def unresolved(self) -> list[str]:
        """Where a table's name is only known when the code runs, as `file:line`."""
        if self.open is not None:
            return list(self.open)
        resolved = {(found.file, found.line) for found in self.subscriptions}
        return [
            f"{channel.file}:{binding.line}"
            for channel in self.channels
            for binding in channel.bindings
            if channel.reachable
            and not binding.proven
            and (channel.file, binding.line) not in resolved
        ]


def read_scan(path: Path) -> ScanFacts:
    """The document of `realtime-hub scan --format json`.

    Raises:
        SettingsError: there is no such file, or it is no such document.
    """
    try:
        return parse_scan(json.loads(path.read_bytes()), str(path))
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path} is not JSON") from None


def parse_scan(document: Any, name: str = "the scan") -> ScanFacts:
    """The document as values.

    Raises:
        SettingsError: it lacks something, or is of another schema.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise SettingsError(f"{name} is not a document of `realtime-hub scan` (schema {SCHEMA})")
    try:
        return ScanFacts(
            files=int(document["files"]),
            unparsed=tuple(map(str, document["unparsed"])),
            channels=tuple(_channel(item) for item in document["channels"]),
            subscriptions=tuple(_subscribed(item) for item in document["subscriptions"]),
            open=_open(document.get("unresolved")),
            errors=tuple(_reported(item) for item in document.get("findings", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(f"{name} lacks or garbles {error}") from None


def _channel(item: Mapping[str, Any]) -> Channel:
    return Channel(
        file=str(item["file"]),
        line=int(item["line"]),
        owner=str(item.get("owner") or ""),
        name=str(item["name"]),
        unique=bool(item["unique_per_mount"]),
        cleanup=str(item["cleanup"]),
        reachable=bool(item["reachable"]),
        in_render=bool(item.get("in_render", False)),
        bindings=tuple(
            Binding(
                line=int(binding["line"]),
                event=str(binding.get("event") or "*"),
                table=str(binding.get("table") or ""),
                filter=str(binding.get("filter") or ""),
                proven=binding["resolution"] == "proven",
            )
            for binding in item["bindings"]
            if binding["kind"] == _CHANGES
        ),
    )


def _reported(item: Mapping[str, Any]) -> Reported:
    return Reported(
        rule=str(item["rule"]),
        file=str(item["file"]),
        line=int(item["line"]),
        detail=str(item.get("detail") or ""),
        remediation=str(item.get("remediation") or ""),
    )


def _open(items: Any) -> tuple[str, ...] | None:
    if items is None:
        return None
    return tuple(dict.fromkeys(f"{item['file']}:{item['line']}" for item in items))


def _subscribed(item: Mapping[str, Any]) -> Subscribed:
    return Subscribed(
        table=table_name(str(item["table"]), str(item.get("schema") or "public")),
        event=str(item.get("event") or "*"),
        filter=str(item.get("filter") or ""),
        file=str(item["file"]),
        line=int(item["line"]),
        shared=bool(item.get("shared", False)),
    )


def table_name(text: str, schema: str = "public") -> TableName:
    """`schema.table` or `table`."""
    given, dot, name = text.partition(".")
    return TableName(given, name) if dot else TableName(schema, text)
