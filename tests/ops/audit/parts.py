"""Facts for rules, made small."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from realtime_hub.changes import TableName
from realtime_hub.ops.audit.facts import (
    AuditFacts,
    ColumnFacts,
    Listened,
    SubscriptionFacts,
    TableFacts,
)
from realtime_hub.ops.audit.findings import Finding
from realtime_hub.ops.audit.rules import RULES
from realtime_hub.ops.audit.scanned import Binding, Channel, ScanFacts, Subscribed

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY_AGO = NOW - timedelta(days=1)
NOTHING_SCANNED = ScanFacts(files=3, unparsed=(), channels=(), subscriptions=())
NOBODY = SubscriptionFacts(3, {})
KEY = ColumnFacts("id", "bigint", 8, indexed=True, in_key=True)


def name(table: str) -> TableName:
    return TableName("public", table)


def table(bare: str, **facts: Any) -> TableFacts:
    return TableFacts(**{"name": name(bare), "columns": (KEY,), **facts})


def facts(*tables: TableFacts, **others: Any) -> AuditFacts:
    """A publication of these tables; source and subscriptions looked at, and nobody listens."""
    given = AuditFacts(
        "supabase_realtime",
        NOW,
        tables={item.name: item for item in tables},
        since=DAY_AGO,
        scan=NOTHING_SCANNED,
        subscriptions=NOBODY,
    )
    return replace(given, **others)


def listened(bare: str, rows: int = 1, users: int = 1, most: int = 1) -> SubscriptionFacts:
    return SubscriptionFacts(3, {name(bare): Listened(rows, users, most)})


def channel(**given: Any) -> Channel:
    plain: dict[str, Any] = {
        "file": "src/Chat.tsx",
        "line": 7,
        "owner": "Chat",
        "name": "'chat'",
        "unique": False,
        "cleanup": "yes",
        "reachable": True,
        "in_render": False,
        "bindings": (Binding(8, "INSERT", "mensajes", "", True),),
    }
    return Channel(**(plain | given))


def scan(*channels: Channel, subscriptions: tuple[Subscribed, ...] = (), **more: Any) -> ScanFacts:
    return ScanFacts(
        **{"files": 3, "unparsed": (), "channels": channels, "subscriptions": subscriptions, **more}
    )


def subscribed(
    bare: str, file: str = "src/Chat.tsx", line: int = 8, filter: str = ""
) -> Subscribed:
    return Subscribed(name(bare), "INSERT", filter, file, line)


def found(rule: str, given: AuditFacts) -> list[Finding]:
    """What one rule says."""
    (chosen,) = [one for one in RULES if one.id == rule]
    return list(chosen.check(given))
