"""Is this database fit to be served? Each check is a small function from facts to findings."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import psycopg

from realtime_hub.errors import RealtimeHubError
from realtime_hub.ops.connection import MINIMUM_VERSION
from realtime_hub.ops.facts import ROLES, DatabaseFacts, PublishedTable, gather

_POOLER_PORT: Final = 6543
_POOLER_HOST: Final = "pooler.supabase.com"
_WANTED_DESCRIPTORS: Final = 4_096
_MOST_SKEW: Final = 2.0
_SERVE_SECONDS: Final = 5


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. remedy: SQL or a setting; empty where nothing is to do."""

    name: str
    status: Status
    text: str
    remedy: str = ""


Rule: TypeAlias = Callable[[DatabaseFacts], Iterator[Check]]


async def examine(dsn: str, publication: str, slot: str) -> list[Check]:
    """All checks of a database, failures first.

    Raises:
        DatabaseUnreachableError, SettingsError
    """
    return judge(await gather(dsn, publication, slot), publication)


async def problems(dsn: str, publication: str, slot: str) -> list[Check]:
    """What is not well, for a server that starts; none where that can't be found out in time."""
    try:
        async with asyncio.timeout(_SERVE_SECONDS):
            checks = await examine(dsn, publication, slot)
    except (RealtimeHubError, TimeoutError, psycopg.Error):
        return []  # whoever starts will meet the same, and say it
    return [check for check in checks if check.status is not Status.OK]


def judge(facts: DatabaseFacts, publication: str) -> list[Check]:
    """Apply every rule."""
    rules: Sequence[Rule] = (
        _version,
        _wal_level,
        _replication_right,
        _direct_connection,
        _free_places,
        _slot,
        _kept_wal,
        _roles,
        _auth_functions,
        _extensions,
        _clock,
        _descriptors,
        lambda facts: _publication(facts, publication),
        _tables,
    )
    checks = [check for rule in rules for check in rule(facts)]
    order = [Status.FAILURE, Status.WARNING, Status.OK]
    return sorted(checks, key=lambda check: order.index(check.status))


def _version(facts: DatabaseFacts) -> Iterator[Check]:
    if facts.version >= MINIMUM_VERSION:
        yield Check("version", Status.OK, f"PostgreSQL {facts.version}")
    else:
        yield Check(
            "version",
            Status.FAILURE,
            f"PostgreSQL {facts.version} is too old",
            f"upgrade to PostgreSQL {MINIMUM_VERSION} or later",
        )


def _wal_level(facts: DatabaseFacts) -> Iterator[Check]:
    level = facts.settings["wal_level"]
    if level == "logical":
        yield Check("wal_level", Status.OK, "logical")
    else:
        text = f"{level}: changes can't be decoded"
        yield Check("wal_level", Status.FAILURE, text, _set(facts, "wal_level", "logical"))


def _replication_right(facts: DatabaseFacts) -> Iterator[Check]:
    if facts.may_replicate:
        yield Check("replication", Status.OK, f"{facts.user} may replicate")
    else:
        yield Check(
            "replication",
            Status.FAILURE,
            f"{facts.user} has not the REPLICATION attribute",
            f'alter role "{facts.user}" replication;',
        )


def _direct_connection(facts: DatabaseFacts) -> Iterator[Check]:
    direct = "use the direct connection, on Supabase db.<project>.supabase.co:5432"
    if facts.host.endswith(_POOLER_HOST):
        # In session mode too: Supavisor does not pass the replication protocol on.
        text = f"{facts.host} is a pooler, which can't replicate"
        remedy = f"{direct}; where there is no IPv6, with the project's IPv4 add-on"
        yield Check("connection", Status.FAILURE, text, remedy)
    elif facts.port == _POOLER_PORT:
        text = f"port {_POOLER_PORT} is usually a transaction pooler, which can't replicate"
        yield Check("connection", Status.WARNING, text, direct)


def _free_places(facts: DatabaseFacts) -> Iterator[Check]:
    for name, used in (
        ("max_replication_slots", facts.used_slots),
        ("max_wal_senders", facts.used_senders),
    ):
        limit = int(facts.settings[name])
        if used < limit or facts.slot is not None:
            yield Check(name, Status.OK, f"{used} of {limit} in use")
        else:
            text = f"all {limit} are in use"
            yield Check(name, Status.FAILURE, text, _set(facts, name, str(limit + 5)))


def _slot(facts: DatabaseFacts) -> Iterator[Check]:
    slot = facts.slot
    if slot is None:
        yield Check("slot", Status.OK, "not there yet; `serve` makes it")
        return
    name = slot["slot_name"]
    drop = f"select pg_drop_replication_slot('{name}');"
    if slot["plugin"] != "pgoutput" or slot["database"] != facts.database:
        text = f"{name} belongs to {slot['plugin'] or 'physical replication'} of {slot['database']}"
        yield Check("slot", Status.FAILURE, text, "choose another name with --slot")
    elif slot["wal_status"] == "lost":
        yield Check("slot", Status.FAILURE, f"{name} has lost its WAL: changes were missed", drop)
    elif slot["active"]:
        yield Check("slot", Status.WARNING, f"{name} is being read; `serve` would wait for it")
    else:
        kept = (slot["retained"] or 0) // 1_048_576
        yield Check("slot", Status.OK, f"{name} waits, and keeps {kept} MiB of WAL", "")


def _kept_wal(facts: DatabaseFacts) -> Iterator[Check]:
    limit = facts.settings.get("max_slot_wal_keep_size", "-1")
    if limit != "-1":
        yield Check("max_slot_wal_keep_size", Status.OK, f"{limit} MB")
        return
    yield Check(
        "max_slot_wal_keep_size",
        Status.WARNING,
        "not set: a slot that nobody reads fills the disk",
        _set(facts, "max_slot_wal_keep_size", "10GB", restart=False),
    )


def _roles(facts: DatabaseFacts) -> Iterator[Check]:
    missing = [role for role in ROLES if role not in facts.roles]
    if missing:
        yield Check(
            "roles",
            Status.WARNING,
            f"{', '.join(missing)} missing: tokens with these roles are refused",
            "realtime-hub init --roles --apply",
        )
    closed = [role for role in ROLES if not facts.roles.get(role, True)]
    if closed:
        grants = " ".join(f'grant {role} to "{facts.user}";' for role in closed)
        text = f"{facts.user} can't become {', '.join(closed)}: policies can't be asked"
        yield Check("roles", Status.FAILURE, text, grants)
    if not missing and not closed:
        yield Check("roles", Status.OK, ", ".join(ROLES))


def _auth_functions(facts: DatabaseFacts) -> Iterator[Check]:
    if not facts.has_auth_uid:
        yield Check(
            "auth.uid()",
            Status.WARNING,
            "not there: policies that call it can't exist",
            "realtime-hub init --roles --apply",
        )


def _extensions(facts: DatabaseFacts) -> Iterator[Check]:
    if "pg_stat_statements" not in facts.extensions:
        yield Check(
            "pg_stat_statements",
            Status.WARNING,
            "not there: audit and baseline can't say what statements cost",
            "create extension pg_stat_statements;  -- and in shared_preload_libraries",
        )


def _clock(facts: DatabaseFacts) -> Iterator[Check]:
    if abs(facts.clock_skew) > _MOST_SKEW:
        yield Check(
            "clock",
            Status.WARNING,
            f"the server's differs from this machine's by {abs(facts.clock_skew):.0f} s: tokens"
            " are judged and latencies measured by this machine's",
            "keep both with NTP",
        )


def _descriptors(_: DatabaseFacts) -> Iterator[Check]:
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit >= _WANTED_DESCRIPTORS:
        yield Check("open files", Status.OK, f"{limit} on this machine")
    else:
        text = f"{limit} on this machine: as many sockets at most"
        yield Check("open files", Status.WARNING, text, f"ulimit -n {min(hard, 65_536)}")


def _publication(facts: DatabaseFacts, name: str) -> Iterator[Check]:
    found = facts.publication
    if found is None:
        text = f"{name} does not exist"
        yield Check("publication", Status.FAILURE, text, "realtime-hub init --apply")
        return
    if found["puballtables"]:
        yield Check(
            "publication",
            Status.WARNING,
            f"{name} publishes all tables: each costs on every write",
            f"create a publication of the tables that are listened to, in place of {name}",
        )
    left_out = [k for k in ("insert", "update", "delete") if not found[f"pub{k}"]]
    if left_out:
        yield Check(
            "publication",
            Status.WARNING,
            f"{name} leaves out {', '.join(left_out)}",
            f"alter publication {name} set (publish = 'insert, update, delete, truncate');",
        )
    if not facts.tables:
        remedy = f"alter publication {name} add table <table>;"
        yield Check("publication", Status.WARNING, f"{name} has no tables", remedy)
    else:
        yield Check("publication", Status.OK, f"{name} has {_counted(facts.tables)}")


def _counted(tables: Sequence[PublishedTable]) -> str:
    """How many tables there are; those of broadcasts from the database have a partition a day."""
    own = sum(not table.name.startswith("realtime.messages") for table in tables)
    return f"{own} table{'' if own == 1 else 's'}" + (
        ", and realtime.messages" if own < len(tables) else ""
    )


def _tables(facts: DatabaseFacts) -> Iterator[Check]:
    for table in facts.tables:
        if not table.has_key:
            yield Check(
                "primary key",
                Status.WARNING,
                f"{table.name} has none: clients get error 400 instead of its rows",
                f"alter table {table.name} add primary key (...);",
            )
    open_tables = [table.name for table in facts.tables if not table.row_security]
    if open_tables:
        yield Check(
            "row security",
            Status.WARNING,
            f"off for {_listed(open_tables)}: whoever may SELECT gets every row",
            f"alter table {open_tables[0]} enable row level security;  -- after its policies",
        )


def _set(facts: DatabaseFacts, name: str, value: str, *, restart: bool = True) -> str:
    """How a setting is changed; the hosted service does not let its users ALTER SYSTEM."""
    if facts.hosted:
        return f"supabase --experimental postgres-config update --config {name}={value}"
    then = "  -- then restart PostgreSQL" if restart else " select pg_reload_conf();"
    return f"alter system set {name} = '{value}';{then}"


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
