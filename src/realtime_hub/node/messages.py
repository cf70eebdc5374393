"""From the stream to the rooms: rows inserted into `realtime.messages` are broadcasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from realtime_hub.changes import Change, Kind, Table, Value
from realtime_hub.hub.posts import RoomName
from realtime_hub.hub.rooms import Rooms
from realtime_hub.lsn import Position
from realtime_hub.postgres.messages import kept_broadcast

log = structlog.get_logger(__name__)

_SCHEMA: Final = "realtime"
_TABLE: Final = "messages"
_PARTITION: Final = "messages_"


def is_message_table(table: Table) -> bool:
    """`realtime.messages`, or one of its partitions, under whose names rows may come."""
    name = table.name
    return table.schema == _SCHEMA and (name == _TABLE or name.startswith(_PARTITION))


@dataclass(slots=True)
class MessageStatistics:
    """Counted since the start. sent: broadcasts from the database. late: of those, committed
    before this process began, and left to replay. too_large: over the payload's limit."""

    sent: int = 0
    late: int = 0
    too_large: int = 0


class MessageReader:
    """Hands each message to its room.

    since: messages committed before that are not sent. They come when a slot was read last long
    ago; who wants them asks for replay.
    """

    def __init__(self, rooms: Rooms, *, since: Position, max_bytes: int) -> None:
        self._rooms = rooms
        self._since = since
        self._max_bytes = max_bytes
        self.statistics = MessageStatistics()

    def take(self, change: Change) -> None:
        """Broadcast a row that was inserted; other changes of the table mean nothing."""
        if change.kind is not Kind.INSERT or change.new is None:
            return
        if change.position < self._since:
            self.statistics.late += 1
            return
        row = dict(zip((c.name for c in change.table.columns), change.new, strict=True))
        if _text(row, "extension") != "broadcast":
            return
        broadcast = kept_broadcast(
            _text(row, "id") or "",
            _text(row, "event"),
            _text(row, "payload"),
            _text(row, "binary_payload"),
            replayed=False,
        )
        if broadcast.size > self._max_bytes:
            self.statistics.too_large += 1
            log.warning("message_too_large", id=broadcast.ident, size=broadcast.size)
            return
        self.statistics.sent += 1
        room = RoomName(_text(row, "topic") or "", private=_text(row, "private") == "t")
        self._rooms.say(room, broadcast)


def _text(row: Mapping[str, Value], name: str) -> str | None:
    value = row.get(name)
    return value.decode() if isinstance(value, bytes) else None
