"""What listeners are handed: a change as it came, and the notice that some are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import orjson

from realtime_hub import changes as core
from realtime_hub.changes import TableName

RowEvent: TypeAlias = Literal["INSERT", "UPDATE", "DELETE"]

EVENTS: Final[tuple[RowEvent, ...]] = ("INSERT", "UPDATE", "DELETE")
"""What `*` stands for; TRUNCATE is delivered only to those who name it."""

_NOTHING: Final[frozenset[str]] = frozenset()


class Change:
    """One row inserted, updated or deleted, as the upstream sent it.

    All listeners share the payload: read it, and copy what you mean to alter.
    """

    __slots__ = ("_event", "_payload", "_position", "_raw", "decoded", "matched")

    def __init__(
        self,
        payload: dict[str, Any] | bytes,
        *,
        position: str | None = None,
        matched: frozenset[str] = _NOTHING,
        decoded: core.Change | None = None,
    ) -> None:
        """payload: of a `postgres_changes` message, as a dictionary or as its JSON text.

        position: see the property. matched: the filters that the upstream says are fulfilled.
        decoded: the change as read from the WAL, where it was.
        """
        self._raw = payload if isinstance(payload, bytes) else b""
        self._payload = None if isinstance(payload, bytes) else payload
        self._event: str | None = None if decoded is None else decoded.kind.value
        self._position = position
        self.matched = matched
        self.decoded = decoded

    @property
    def position(self) -> str | None:
        """Tells this change from all others, the same on every reading; None where the upstream
        has none."""
        if self._position is None and self.decoded is not None:
            self._position = str(self.decoded.position)
        return self._position

    @property
    def payload(self) -> dict[str, Any]:
        """Exactly what came: `{"ids": [...], "data": {...}}`."""
        if self._payload is None:
            self._payload = orjson.loads(self._raw)
        return self._payload

    @property
    def data(self) -> dict[str, Any]:
        """The payload's `data`: schema, table, type, columns, record, old_record, errors."""
        data: dict[str, Any] = self.payload["data"]
        return data

    @property
    def event(self) -> str:
        """INSERT, UPDATE, DELETE or TRUNCATE."""
        if self._event is None:
            # The official client makes it an enumeration of its own, which is a str too.
            self._event = str.__str__(self.data["type"])
        return self._event

    @property
    def snapshot(self) -> bool:
        """Whether it is a row that was there before, told as an INSERT."""
        return self.payload.get("snapshot") is True

    @property
    def schema(self) -> str:
        return str(self.data["schema"])

    @property
    def table(self) -> str:
        """The table's name, without its schema."""
        return str(self.data["table"])

    @property
    def new(self) -> dict[str, Any]:
        """The row after an INSERT or UPDATE; empty for a DELETE."""
        return self.data.get("record") or {}

    @property
    def old(self) -> dict[str, Any]:
        """Of the row before an UPDATE or DELETE, what the replica identity carries; else empty."""
        return self.data.get("old_record") or {}

    @property
    def row(self) -> dict[str, Any]:
        """The row that filters judge: the new one, of a DELETE the old one."""
        return self.old if self.event == "DELETE" else self.new

    @property
    def commit_timestamp(self) -> datetime:
        """When the transaction was committed, UTC, to the millisecond."""
        return datetime.fromisoformat(self.data["commit_timestamp"])

    @property
    def errors(self) -> list[str]:
        """Why values are missing, such as `Error 413: Payload Too Large`; mostly empty."""
        return self.data.get("errors") or []

    @property
    def columns(self) -> tuple[Mapping[str, str], ...]:
        """Name and type of each column that is shown, in table order."""
        return tuple(self.data.get("columns") or ())

    def __repr__(self) -> str:
        """Without row data, so that it may go to logs."""
        where = "" if self.position is None else f" at {self.position}"
        return f"<Change {self.event} {self.schema}.{self.table}{where}>"


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes of a table may have been missed: read it again.

    reason: stable, such as `reconnected` (the upstream could not say what happened meanwhile),
    `slot_lost`, or a reason of the gateway's. message: for people. after, before: the Positions
    between which changes are missing, None where they are not known.
    """

    table: TableName
    reason: str
    message: str
    after: str | None = None
    before: str | None = None
