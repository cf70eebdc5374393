"""What a hub says of itself: a table's state as it changes, and figures at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from realtime_hub.changes import TableName


class State(StrEnum):
    """CONNECTING: not yet up. CONNECTED: changes flow. DISCONNECTED: they did and do not, for
    longer than the grace period. REFUSED: the upstream will not serve the table. CLOSED: nobody
    listens any more."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Status:
    """A table's state has changed. error: why it is down or refused."""

    table: TableName
    state: State
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """One table of a hub.

    channels: upstream channels that are open now: 1, for a moment 2 while bindings change.
    bindings: of the newest of them. listeners: by event. queued: changes that wait for slow
    listeners. opened: channels opened so far. reconnects: of these, after one was lost.
    """

    state: State
    listeners: Mapping[str, int]
    channels: int = 0
    bindings: tuple[str, ...] = ()
    queued: int = 0
    changes: int = 0
    deliveries: int = 0
    opened: int = 0
    reconnects: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """A hub at one moment.

    upstream: its kind. tables: by full name, those with a channel or a listener. errors: raised
    by callbacks. slow_calls: plain callbacks that held the event loop up. drops: changes lost to
    full queues, as their listeners' overflow rules say. Counts are since the last cleanup.
    """

    name: str | None
    upstream: str
    tables: Mapping[str, TableStatistics] = field(default_factory=dict)
    errors: int = 0
    slow_calls: int = 0
    drops: int = 0

    @property
    def listeners(self) -> int:
        """How many subscriptions there are, one of several events counted once for each."""
        return sum(sum(table.listeners.values()) for table in self.tables.values())

    @property
    def channels(self) -> int:
        """Upstream channels that are open now."""
        return sum(table.channels for table in self.tables.values())
