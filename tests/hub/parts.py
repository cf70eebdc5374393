"""Small parts for tests of the hub: tables, changes, a subscriber that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from realtime_hub.changes import Change, Column, Kind, PgType, Row, Table, TableName
from realtime_hub.errors import SnapshotError, TableNotPublishedError
from realtime_hub.hub.lanes import Lane
from realtime_hub.hub.listeners import Binding, Delivery, Gap, SnapshotEnd
from realtime_hub.hub.ports import Batch, Judgement, Rights, Snapshot, Verdict
from realtime_hub.identity import Identity
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.lsn import Position
from realtime_hub.node.recent import Recent
from realtime_hub.node.replay import Replayer
from realtime_hub.node.snapshots import Snapshotter
from realtime_hub.wire.filters import Condition, parse_filter

ANON = Identity("anon", "{}")
TYPES = {23: PgType(23, "int4", category="N"), 25: PgType(25, "text", category="S")}


def make_table(name: str = "llamadas", columns: str = "id n t") -> Table:
    """A table of int4 columns, but text for those named t*; the first is the key."""
    return Table(
        oid=16384,
        schema="public",
        name=name,
        columns=tuple(
            Column(
                name=column,
                type_oid=25 if column.startswith("t") else 23,
                type_name="text" if column.startswith("t") else "int4",
                identity=i == 0,
                primary_key=i == 0,
            )
            for i, column in enumerate(columns.split())
        ),
        types=TYPES,
    )


def row(*values: int | str | None) -> Row:
    return tuple(None if value is None else str(value).encode() for value in values)


def insert(table: Table, *values: int | str | None, lsn: int = 1, index: int = 0) -> Change:
    return Change(Position(0, lsn, index), Kind.INSERT, table, 0, 1, row(*values), None)


def binding(
    ident: int,
    table: str | None = "llamadas",
    filter: str | None = None,
    kind: Kind | None = None,
    select: tuple[str, ...] | None = None,
) -> Binding:
    return Binding(ident, kind, "public", table, parse_filter(filter), select)


@dataclass(eq=False)
class Recorder:
    """A subscriber that keeps what it got: (ids, new row) for changes, the Gap for gaps."""

    identity: Identity = ANON
    format: Hashable = ("realtime:room", 2)
    lane: Lane = field(default_factory=Lane)
    got: list[tuple[tuple[int, ...], Row | None] | Gap] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    on_deliver: Callable[[], None] | None = None
    congested: bool = False
    snapshots: list[SnapshotEnd] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.got.append((delivery.ids, delivery.change.new))
        if self.on_deliver:
            self.on_deliver()

    def announce(self, gap: Gap) -> None:
        self.got.append(gap)

    def end_snapshot(self, end: SnapshotEnd) -> None:
        self.snapshots.append(end)


@dataclass
class SetAuthorizer:
    """Answers as the test has set it; a role of `judged` gets the verdict of its identity."""

    judged: set[str] = field(default_factory=set)
    verdicts: dict[Identity, Judgement] = field(default_factory=dict)
    hidden: frozenset[int] = frozenset()
    asked: list[frozenset[Identity]] = field(default_factory=list)
    prepared: list[Table] = field(default_factory=list)
    followed: list[Batch] = field(default_factory=list)

    async def table_changed(self, table: Table) -> None:
        self.prepared.append(table)

    def follow(self, batch: Batch) -> None:
        self.followed.append(batch)

    async def admit(self, identity: Identity, table: Table) -> Rights:
        return self.rights(table, identity.role)

    def rights(self, table: Table, role: str) -> Rights:
        readable = frozenset(range(len(table.columns))) - self.hidden
        return Rights(readable, judged=role in self.judged)

    def judge(
        self, change: Change, identities: Collection[Identity]
    ) -> Mapping[Identity, Judgement]:
        self.asked.append(frozenset(identities))
        return {identity: self.verdicts.get(identity, Verdict.ALL) for identity in identities}


class NoSnapshots:
    """Opens none; `error` says why."""

    def __init__(self) -> None:
        self.error: Exception = SnapshotError("there are no snapshots here")

    def open(self, identity: Identity) -> AbstractAsyncContextManager[Snapshot]:
        raise self.error


def snapshotter(replayer: Replayer, snapshots: NoSnapshots | None = None) -> Snapshotter:
    authorizer, oracle = SetAuthorizer(), SetOracle()
    recent = Recent(MemoryChangeLog(), horizon=0)
    opener = NoSnapshots() if snapshots is None else snapshots
    return Snapshotter(opener, replayer, recent, authorizer, NoCatalog(), oracle)


class NoCatalog:
    """Publishes nothing."""

    async def published(self, name: TableName) -> Table:
        raise TableNotPublishedError(str(name))

    async def publication(self) -> frozenset[TableName]:
        return frozenset()


@dataclass
class SetOracle:
    """Promises every question; the test resolves the futures."""

    questions: list[tuple[tuple[Condition, ...], asyncio.Future[bool]]] = field(
        default_factory=list
    )

    async def canonical(
        self, table: Table, conditions: Sequence[Condition]
    ) -> tuple[Condition, ...]:
        return tuple(conditions)

    def matches(
        self, table: Table, row: Row, conditions: Sequence[Condition]
    ) -> asyncio.Future[bool]:
        future = asyncio.get_running_loop().create_future()
        self.questions.append((tuple(conditions), future))
        return future
