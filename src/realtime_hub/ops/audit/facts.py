"""What is known when the rules are applied; values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from realtime_hub.changes import TableName
from realtime_hub.ops.audit.scanned import ScanFacts
from realtime_hub.ops.migrations import MigrationFacts


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column. width: average bytes, 0 if never analysed. indexed: the first of some index."""

    name: str
    type: str
    width: int = 0
    indexed: bool = False
    in_key: bool = False


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A SELECT policy. using: its expression as PostgreSQL prints it."""

    name: str
    using: str


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table. identity: d(efault), n(othing), f(ull), i(ndex). root: of a partition.

    inserts, updates, deletes: since the statistics began. sampled: changes while watching.
    """

    name: TableName
    published: bool = True
    partitioned: bool = False
    root: TableName | None = None
    explicit: bool = True
    unlogged: bool = False
    has_key: bool = True
    identity: str = "d"
    row_security: bool = True
    rows: int = 0
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    sampled: int = 0
    bytes: int = 0
    toast_bytes: int = 0
    columns: Sequence[ColumnFacts] = ()
    policies: Sequence[PolicyFacts] = ()

    @property
    def changes(self) -> int:
        return self.inserts + self.updates + self.deletes


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """`pg_stat_statements` of this database; times in milliseconds since `since`."""

    list_calls: int
    list_ms: float
    calls: int
    ms: float
    since: datetime | None
    deallocations: int = 0


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """A logical slot. retained: bytes of WAL that it keeps."""

    name: str
    plugin: str
    active: bool
    wal_status: str
    retained: int
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Listened:
    """The most that was seen of one table at one moment. most: rows of one user."""

    rows: int
    users: int
    most: int


@dataclass(frozen=True, slots=True)
class SubscriptionFacts:
    """`realtime.subscription`, looked at `samples` times."""

    samples: int
    by_table: Mapping[TableName, Listened]


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """All that the rules may look at; None: could not be had, and `notes` say why.

    since: when the tables' counters began; None if PostgreSQL does not say. watched: seconds.
    listeners: of a gateway, by table.
    """

    publication: str
    now: datetime
    exists: bool = True
    all_tables: bool = False
    via_root: bool = False
    tables: Mapping[TableName, TableFacts] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    watched: float = 0.0
    statements: StatementFacts | None = None
    slots: Sequence[SlotFacts] = ()
    subscriptions: SubscriptionFacts | None = None
    listeners: Mapping[TableName, int] | None = None
    scan: ScanFacts | None = None
    migrations: MigrationFacts | None = None
    notes: Sequence[str] = ()

    @property
    def published(self) -> list[TableFacts]:
        return [table for table in self.tables.values() if table.published]

    @property
    def age(self) -> float:
        """Seconds since the tables' counters began, 0 if not known."""
        return 0.0 if self.since is None else (self.now - self.since).total_seconds()

    def per_minute(self, table: TableFacts) -> float | None:
        """Changes a minute, watched or since the counters began; None if neither is known."""
        if self.watched:
            return table.sampled * 60 / self.watched
        return table.changes * 60 / self.age if self.age else None
