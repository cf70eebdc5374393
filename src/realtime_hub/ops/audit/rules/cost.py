"""Rules about what Realtime costs the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from realtime_hub.ops import model
from realtime_hub.ops.audit.facts import AuditFacts
from realtime_hub.ops.audit.findings import Finding, Level
from realtime_hub.ops.connection import literal

_SHARE: Final = 0.10
_HEAVY_SHARE: Final = 0.30
_BUSIEST: Final = 5
_LAGGING_BYTES: Final = 256 * 1024 * 1024
_DUPLICATES: Final = 2


def polling(facts: AuditFacts) -> Iterator[Finding]:
    """What Supabase Realtime's polling of the WAL takes of all statements' time."""
    found = facts.statements
    if found is None or not found.ms or not found.list_calls:
        return
    share = found.list_ms / found.ms
    if share < _SHARE:
        return
    seconds = (facts.now - found.since).total_seconds() if found.since else 0.0
    evidence = {
        "share_of_time": round(share, 3),
        "share_of_calls": round(found.list_calls / max(found.calls, 1), 3),
        "calls": found.list_calls,
        "mean_ms": round(found.list_ms / found.list_calls, 2),
        "deallocations": found.deallocations,
    }
    if seconds >= 1:
        evidence["calls_per_hour"] = round(found.list_calls * 3_600 / seconds)
    yield Finding(
        "RH501",
        Level.ERROR if share >= _HEAVY_SHARE else Level.WARNING,
        "Polling the WAL takes much of the database's time",
        f"realtime.list_changes takes {share:.0%} of the time of all statements: it checks each"
        " change for each binding",
        "realtime.list_changes",
        "fewer bindings (RH201, RH503), fewer published tables (RH101); or read the WAL once:"
        " realtime-hub serve",
        evidence,
    )


def busiest(facts: AuditFacts) -> Iterator[Finding]:
    """Which published tables' changes there are most of."""
    rates = [(facts.per_minute(table), table) for table in facts.published]
    known = sorted(
        ((rate, table) for rate, table in rates if rate), key=lambda item: item[0], reverse=True
    )
    total = sum(rate for rate, _ in known)
    for rate, table in known[:_BUSIEST]:
        yield Finding(
            "RH502",
            Level.INFO,
            "Among the busiest published tables",
            f"{rate:.1f} changes a minute, {rate / total:.0%} of all that is published",
            str(table.name),
            "",
            {
                "changes_per_minute": round(rate, 2),
                "share": round(rate / total, 3),
                "row_bytes": sum(column.width for column in table.columns),
            },
        )


def duplicates(facts: AuditFacts) -> Iterator[Finding]:
    """Several subscriptions of one user to one table: each is checked for each change."""
    if facts.subscriptions is None:
        return
    for name, found in sorted(facts.subscriptions.by_table.items()):
        if found.most >= _DUPLICATES:
            per_user = found.rows / max(found.users, 1)
            yield Finding(
                "RH503",
                Level.WARNING,
                "Users subscribe to the table more than once",
                f"up to {found.most} subscriptions of one user, {per_user:.1f} on average",
                str(name),
                "one channel per table and client: hub.subscribe(table, event, handler)",
                {
                    "rows": found.rows,
                    "users": found.users,
                    "most_of_one_user": found.most,
                    "saves": model.sharing(found.users, per_user).as_json(),
                },
            )


def slots(facts: AuditFacts) -> Iterator[Finding]:
    """A slot that nobody reads, or that is far behind, keeps WAL."""
    for slot in facts.slots:
        if slot.wal_status == "lost" or slot.temporary:
            continue
        if not slot.active or slot.retained >= _LAGGING_BYTES:
            yield Finding(
                "RH504",
                Level.WARNING if slot.retained >= _LAGGING_BYTES else Level.INFO,
                "A slot lags" if slot.active else "Nobody reads a slot",
                f"it keeps {slot.retained // 1_048_576} MiB of WAL on the server's disk",
                slot.name,
                f"select pg_drop_replication_slot({literal(slot.name)});"
                "  -- if nobody comes back for it",
                {"retained_bytes": slot.retained, "active": slot.active, "plugin": slot.plugin},
            )


def lost(facts: AuditFacts) -> Iterator[Finding]:
    """A slot whose WAL is gone, or about to go."""
    for slot in facts.slots:
        if slot.wal_status in ("lost", "unreserved"):
            gone = slot.wal_status == "lost"
            yield Finding(
                "RH505",
                Level.ERROR,
                "A slot has lost its WAL" if gone else "A slot is about to lose its WAL",
                "changes were missed; it can't be read any more"
                if gone
                else "it is further behind than max_slot_wal_keep_size; the next checkpoint"
                " removes what it needs",
                slot.name,
                f"select pg_drop_replication_slot({literal(slot.name)});"
                if gone
                else "let its reader catch up, or raise max_slot_wal_keep_size",
                {"wal_status": slot.wal_status, "retained_bytes": slot.retained},
            )


def uncapped(facts: AuditFacts) -> Iterator[Finding]:
    """Nothing limits what a slot keeps: a forgotten one fills the disk."""
    if facts.slots and facts.settings.get("max_slot_wal_keep_size") == "-1":
        yield Finding(
            "RH506",
            Level.WARNING,
            "Nothing limits the WAL that a slot keeps",
            "a slot that nobody reads fills the disk, and PostgreSQL stops",
            "max_slot_wal_keep_size",
            "alter system set max_slot_wal_keep_size = '10GB'; select pg_reload_conf();",
            {"slots": len(facts.slots)},
        )
