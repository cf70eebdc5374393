"""Rules about what is published against what is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from realtime_hub.changes import TableName
from realtime_hub.ops import model
from realtime_hub.ops.audit.facts import AuditFacts, TableFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.audit.use import Use, usage
from realtime_hub.ops.connection import identifier, quoted

COPY: Final = re.compile(
    r"(^|_)(backups?|bak|bkp|copy|copia|legacy|old|tmp|temp|archived?|deprecated|respaldo|viejo)"
    r"(_|$|\d)"
)
_BUSY_PER_MINUTE: Final = 10.0
_STATIC_PER_HOUR: Final = 1.0
_ENOUGH_CHANGES: Final = 1_000
_STATIC_SHARE: Final = 0.01
_AN_HOUR: Final = 3_600.0
_LOOK_FURTHER: Final = "realtime-hub slim plan --source <your code> --watch 60s"


def unused(facts: AuditFacts) -> Iterator[Finding]:
    """Published, and nobody listens."""
    for table in facts.published:
        found = usage(facts, table)
        if found.use is Use.PROVEN:
            continue
        proven = found.use is Use.NONE_FOUND
        yield Finding(
            "RH101",
            Level.WARNING if proven else Level.INFO,
            "Published, and nobody subscribes" if proven else "Published, no subscription seen yet",
            found.reason,
            str(table.name),
            _drop(facts, table) if proven else _LOOK_FURTHER,
            {"use": found.use.value, "changes": table.changes},
        )


def unpublished(facts: AuditFacts) -> Iterator[Finding]:
    """Subscribed, and not published: such a subscription never gets anything and says nothing."""
    if not facts.exists:
        return
    published = {table.name for table in facts.published}
    for name in sorted(_asked_for(facts) - published):
        if name.name == "*":
            continue
        there = name in facts.tables
        places = [] if facts.scan is None else facts.scan.on(name)
        first = places[0] if places else None
        yield Finding(
            "RH102",
            Level.ERROR,
            "Subscribed, and not published",
            "the subscription is accepted and never gets a change"
            + ("" if there else "; there is no such table in this database"),
            f"{first.file}:{first.line}" if first else str(name),
            f"alter publication {identifier(facts.publication)} add table {quoted(name)};"
            if there
            else "remove the subscription",
            {"table": str(name), "places": [f"{p.file}:{p.line}" for p in places]},
            subject=str(name),
            file=first.file if first else "",
            line=first.line if first else 0,
        )


def all_tables(facts: AuditFacts) -> Iterator[Finding]:
    """FOR ALL TABLES: every write of the database is decoded and looked at."""
    if facts.all_tables:
        yield Finding(
            "RH103",
            Level.WARNING,
            "All tables are published",
            "each write to any table is decoded, published and checked, now and for tables to come",
            facts.publication,
            f"drop publication {identifier(facts.publication)}; create publication"
            f" {identifier(facts.publication)} for table ...;  -- the tables that are used",
            {"tables": len(facts.published)},
        )


def backup_copy(facts: AuditFacts) -> Iterator[Finding]:
    """A name that speaks of a backup or a leftover."""
    for table in facts.published:
        match = COPY.search(table.name.name)
        if match:
            used = usage(facts, table).use is Use.PROVEN
            yield Finding(
                "RH104",
                Level.INFO if used else Level.WARNING,
                "A backup or legacy copy is published",
                f"the name has {match.group(2)!r} in it" + (", and somebody listens" * used),
                str(table.name),
                _drop(facts, table),
                {"rows": table.rows, "changes": table.changes},
            )


def static(facts: AuditFacts) -> Iterator[Finding]:
    """Data that hardly ever changes: reading it once would do."""
    total = sum(table.changes for table in facts.published)
    for table in facts.published:
        if _is_static(facts, table, total):
            used = usage(facts, table).use is Use.PROVEN
            yield Finding(
                "RH105",
                Level.INFO,
                "Static data is published",
                "it hardly ever changes"
                + (": a read at the start would do" if used else ", and nobody was seen to listen"),
                str(table.name),
                _drop(facts, table),
                {"changes": table.changes, "of": total, "rows": table.rows},
            )


def written_unread(facts: AuditFacts) -> Iterator[Finding]:
    """Written much, and listened to by nobody: the dearest kind of useless."""
    for table in facts.published:
        rate = facts.per_minute(table)
        if (
            rate is not None
            and rate >= _BUSY_PER_MINUTE
            and usage(facts, table).use is not Use.PROVEN
        ):
            yield Finding(
                "RH106",
                Level.WARNING,
                "Written much, read by nobody",
                "each of these writes is decoded and checked for subscribers that do not exist",
                str(table.name),
                _drop(facts, table),
                {
                    "changes_per_minute": round(rate, 1),
                    "saves_cpu_seconds_per_hour": model.unpublishing(rate * 60).as_json(),
                },
            )


def partitions(facts: AuditFacts) -> Iterator[Finding]:
    """Root or leaf: changes come under the name that is not subscribed."""
    for table in facts.published:
        if table.partitioned and not facts.via_root:
            yield Finding(
                "RH107",
                Level.WARNING,
                "A partitioned table's changes come under its partitions' names",
                "publish_via_partition_root is off: who subscribes to the table gets nothing",
                str(table.name),
                f"alter publication {identifier(facts.publication)}"
                " set (publish_via_partition_root = true);",
            )
        elif table.root is not None and table.explicit and facts.via_root:
            root = facts.tables.get(table.root)
            if root is not None and root.published:
                yield Finding(
                    "RH107",
                    Level.INFO,
                    "A partition is published beside its root",
                    f"its changes come under the name {table.root} already",
                    str(table.name),
                    _drop(facts, table),
                )


def unlogged(facts: AuditFacts) -> Iterator[Finding]:
    """Unlogged tables write no WAL: there is nothing to publish."""
    names = set(_asked_for(facts)) | {table.name for table in facts.published}
    for name in sorted(names & facts.tables.keys()):
        if facts.tables[name].unlogged:
            yield Finding(
                "RH108",
                Level.ERROR,
                "An unlogged table can't be listened to",
                "its changes are not in the WAL, so nobody can get them",
                str(name),
                f"alter table {quoted(name)} set logged;",
            )


def migrations(facts: AuditFacts) -> Iterator[Finding]:
    """Published here and not in migrations, or the other way."""
    files = facts.migrations
    if files is None or facts.all_tables:
        return
    for table in facts.published:
        if table.explicit and not files.holds(table.name):
            yield Finding(
                "RH109",
                Level.INFO,
                "Published, but not in migrations",
                "no migration file adds it (a dashboard may have): a new database lacks it",
                str(table.name),
                f"alter publication {identifier(facts.publication)} add table"
                f" {quoted(table.name)};  -- in a migration",
            )
    published = {table.name for table in facts.published}
    for name, place in sorted(files.tables.items()):
        if name not in published:
            yield Finding(
                "RH109",
                Level.INFO,
                "In migrations, but not published",
                "the last statement about it adds it, and this database does not publish it",
                f"{place.file}:{place.line}",
                f"alter publication {identifier(facts.publication)} drop table"
                f" {quoted(name)};  -- in a migration, or publish it",
                {"table": str(name)},
                subject=str(name),
                file=place.file,
                line=place.line,
            )


def _asked_for(facts: AuditFacts) -> set[TableName]:
    asked = set() if facts.scan is None else {found.table for found in facts.scan.subscriptions}
    if facts.subscriptions is not None:
        asked |= set(facts.subscriptions.by_table)
    return asked


def _is_static(facts: AuditFacts, table: TableFacts, total: int) -> bool:
    """Few writes for as long as is known; else few beside those of the other tables."""
    if facts.age >= _AN_HOUR:
        return table.changes * _AN_HOUR / facts.age < _STATIC_PER_HOUR
    return total >= _ENOUGH_CHANGES and table.changes < total * _STATIC_SHARE


def _drop(facts: AuditFacts, table: TableFacts) -> str:
    if not table.explicit or facts.all_tables:
        return "publish the tables that are used by name"
    return f"alter publication {identifier(facts.publication)} drop table {quoted(table.name)};"
