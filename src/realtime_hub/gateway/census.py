"""Who listens to what, counted when somebody asks: users, tables, topics, slow clients."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from realtime_hub.wire.joins import RequestedBinding

DEPTHS: Final = (0, 16 * 1024, 256 * 1024, 1024 * 1024)
"""Bounds, in bytes, of the classes into which connections fall by what waits for them."""

_SLICE: Final = 200
"""Connections that are counted before other work has its turn."""


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """bindings: each as the text of what it asks for, beside its table (`schema.table`)."""

    topic: str
    private: bool
    bindings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """kind: `websocket` or `sse`. queued_bytes: what its client has not read yet."""

    kind: str
    role: str
    subject: str
    queued_bytes: int
    channels: tuple[ChannelReport, ...]


class Counted(Protocol):
    """A connection, of either kind."""

    def report(self) -> ConnectionReport: ...


@dataclass(slots=True)
class UserCount:
    """One user, by role and subject. tables: its bindings by table; duplicates: of those, the
    ones that another binding of the same connection asks for too, word by word."""

    connections: int = 0
    channels: int = 0
    queued_bytes: int = 0
    tables: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Census:
    """depths: connections by class of `DEPTHS`, with one more class for what lies above."""

    connections: int = 0
    channels: int = 0
    users: dict[tuple[str, str], UserCount] = field(default_factory=dict)
    topics: Counter[tuple[str, bool]] = field(default_factory=Counter)
    waiting: list[ConnectionReport] = field(default_factory=list)
    depths: list[int] = field(default_factory=lambda: [0] * (len(DEPTHS) + 1))

    def add(self, report: ConnectionReport) -> None:
        self.connections += 1
        self.channels += len(report.channels)
        self.depths[bisect_left(DEPTHS, report.queued_bytes)] += 1
        if report.queued_bytes:
            self.waiting.append(report)
        user = self.users.setdefault((report.role, report.subject), UserCount())
        user.connections += 1
        user.channels += len(report.channels)
        user.queued_bytes += report.queued_bytes
        asked: Counter[tuple[str, str]] = Counter()
        for channel in report.channels:
            self.topics[channel.topic, channel.private] += 1
            asked.update(channel.bindings)
        for (table, _), count in asked.items():
            user.tables[table] += count
            user.duplicates[table] += count - 1


def channel_report(
    topic: str, bindings: Iterable[RequestedBinding], *, private: bool
) -> ChannelReport:
    """What a channel asked for, without the bindings that were refused as they stand."""
    asked = [binding for binding in bindings if binding.refusal is None]
    return ChannelReport(
        topic,
        private,
        tuple((f"{each.schema or '*'}.{each.table or '*'}", str(each)) for each in asked),
    )


async def take_census(connections: Sequence[Counted]) -> Census:
    """Count connections, which may come and go meanwhile."""
    census = Census()
    for number, connection in enumerate(connections):
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        census.add(connection.report())
    return census
