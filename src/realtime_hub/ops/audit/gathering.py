"""Facts for the rules: a read-only look at a database, sampled while it is watched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg

from realtime_hub.changes import TableName
from realtime_hub.ops.audit.facts import (
    AuditFacts,
    ColumnFacts,
    Listened,
    PolicyFacts,
    SlotFacts,
    StatementFacts,
    SubscriptionFacts,
    TableFacts,
)
from realtime_hub.ops.connection import Connection, Row, connected, rows

SAMPLE_SECONDS: Final = 5.0


async def gather(dsn: str, publication: str, *, watch: float = 0.0) -> AuditFacts:
    """Look at a database, and then again for `watch` seconds.

    Raises:
        SettingsError, DatabaseUnreachableError, NotFitError, SourceError
    """
    async with connected(dsn) as conn:
        facts = await _look(conn, publication)
        subscriptions, note = await _subscriptions(conn)
        notes = [*facts.notes, *([note] if note else [])]
        if watch:
            before = await _counters(conn)
            subscriptions, watched = await _watch(conn, watch, subscriptions)
            after = await _counters(conn)
            facts = _sampled(facts, before, after, watched)
        return replace(facts, subscriptions=subscriptions, notes=notes)


async def _look(conn: Connection, publication: str) -> AuditFacts:
    (server,) = await rows(conn, _SERVER)
    found = await rows(conn, _PUBLICATION, publication)
    statements, note = await statement_facts(conn)
    flags = found[0] if found else {}
    notes = [note] if note else []
    if not found:
        notes.append(f"publication {publication} does not exist")
    return AuditFacts(
        publication=publication,
        now=server["now"],
        exists=bool(found),
        all_tables=bool(flags.get("puballtables")),
        via_root=bool(flags.get("pubviaroot")),
        tables=await _tables(conn, publication),
        settings={"max_slot_wal_keep_size": server["max_slot_wal_keep_size"]},
        since=server["since"],
        statements=statements,
        slots=[
            SlotFacts(
                name=row["slot_name"],
                plugin=row["plugin"] or "",
                active=row["active"],
                wal_status=row["wal_status"] or "",
                retained=row["retained"] or 0,
                temporary=row["temporary"],
            )
            for row in await rows(conn, _SLOTS)
        ],
        notes=notes,
    )


async def _tables(conn: Connection, publication: str) -> dict[TableName, TableFacts]:
    columns: dict[int, list[ColumnFacts]] = {}
    for row in await rows(conn, _COLUMNS):
        columns.setdefault(row["oid"], []).append(
            ColumnFacts(row["name"], row["type"], row["width"], row["indexed"], row["in_key"])
        )
    policies: dict[int, list[PolicyFacts]] = {}
    for row in await rows(conn, _POLICIES):
        policies.setdefault(row["oid"], []).append(PolicyFacts(row["name"], row["using"] or ""))
    found = await rows(conn, _TABLES, *[publication] * 3)
    tables = [
        _table(row, columns.get(row["oid"], ()), policies.get(row["oid"], ())) for row in found
    ]
    return {table.name: table for table in tables}


def _table(row: Row, columns: Sequence[ColumnFacts], policies: Sequence[PolicyFacts]) -> TableFacts:
    root = TableName(row["root_schema"], row["root_name"]) if row["root_name"] else None
    return TableFacts(
        name=TableName(row["schema"], row["name"]),
        published=row["published"],
        partitioned=row["relkind"] == "p",
        root=root,
        explicit=row["explicit"],
        unlogged=row["relpersistence"] == "u",
        has_key=any(column.in_key for column in columns),
        identity=row["relreplident"],
        row_security=row["relrowsecurity"],
        rows=row["rows"],
        inserts=row["inserts"],
        updates=row["updates"],
        deletes=row["deletes"],
        bytes=row["bytes"],
        toast_bytes=row["toast_bytes"],
        columns=tuple(columns),
        policies=tuple(policies),
    )


async def statement_facts(conn: Connection) -> tuple[StatementFacts | None, str]:
    """What `pg_stat_statements` says, or why it says nothing."""
    place = await rows(conn, _STATEMENTS_PLACE)
    if not place:
        return None, "pg_stat_statements is not installed: `create extension pg_stat_statements`"
    schema = place[0]["schema"]
    try:
        (row,) = await rows(conn, _STATEMENTS.format(schema=schema))
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return None, "pg_stat_statements must be in shared_preload_libraries"
    except psycopg.errors.InsufficientPrivilege:
        return None, "pg_stat_statements may not be read: `grant pg_read_all_stats to ...`"
    return (
        StatementFacts(
            list_calls=int(row["list_calls"]),
            list_ms=float(row["list_ms"]),
            calls=int(row["calls"]),
            ms=float(row["ms"]),
            since=row["since"],
            deallocations=int(row["dealloc"]),
        ),
        "",
    )


async def _subscriptions(conn: Connection) -> tuple[SubscriptionFacts | None, str]:
    if not await rows(conn, _HAS_SUBSCRIPTIONS):
        return None, "no realtime.subscription here: live subscriptions are not known from it"
    try:
        found = await rows(conn, _SUBSCRIPTIONS)
    except psycopg.errors.InsufficientPrivilege:
        return None, "realtime.subscription may not be read by this role"
    except psycopg.errors.UndefinedColumn:
        return None, "realtime.subscription has other columns than expected"
    return SubscriptionFacts(1, listened(found)), ""


async def subscriptions(conn: Connection) -> SubscriptionFacts | None:
    """`realtime.subscription` at this moment; None where it can't be read."""
    return (await _subscriptions(conn))[0]


def listened(found: Sequence[Row]) -> dict[TableName, Listened]:
    """Rows of (schema, name, rows, users, most) by table."""
    return {
        TableName(row["schema"], row["name"]): Listened(row["rows"], row["users"], row["most"])
        for row in found
    }


async def _watch(
    conn: Connection, seconds: float, first: SubscriptionFacts | None
) -> tuple[SubscriptionFacts | None, float]:
    """Sample live subscriptions for so long; the time that it really took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    seen = first
    while (left := started + seconds - loop.time()) > 0:
        await asyncio.sleep(min(SAMPLE_SECONDS, left))
        if seen is not None:
            seen = most_of(seen, await subscriptions(conn))
    return seen, loop.time() - started


def most_of(a: SubscriptionFacts, b: SubscriptionFacts | None) -> SubscriptionFacts:
    """The most that either saw of each table."""
    if b is None:
        return a
    by_table = dict(a.by_table)
    for name, found in b.by_table.items():
        known = by_table.get(name)
        if known is None or found.rows > known.rows:
            by_table[name] = found
    return SubscriptionFacts(a.samples + b.samples, by_table)


async def _counters(conn: Connection) -> dict[TableName, int]:
    # Statistics are kept per transaction or longer otherwise.
    await conn.execute("select pg_catalog.pg_stat_clear_snapshot()")
    return {
        TableName(row["schemaname"], row["relname"]): row["changes"]
        for row in await rows(conn, _COUNTERS)
    }


def _sampled(
    facts: AuditFacts,
    before: Mapping[TableName, int],
    after: Mapping[TableName, int],
    seconds: float,
) -> AuditFacts:
    tables = {
        name: replace(table, sampled=max(0, after.get(name, 0) - before.get(name, 0)))
        for name, table in facts.tables.items()
    }
    return replace(facts, tables=tables, watched=seconds)


def listeners_of(statistics: Mapping[str, Any]) -> dict[TableName, int]:
    """The listeners by table in the gateway's `/api/stats`."""
    return {
        TableName(*name.partition(".")[::2]): int(count)
        for name, count in statistics.get("listeners", {}).items()
    }


_SERVER: Final = """
select pg_catalog.now() as now,
  (select d.stats_reset from pg_catalog.pg_stat_database d
    where d.datname = pg_catalog.current_database()) as since,
  (select s.setting from pg_catalog.pg_settings s where s.name = 'max_slot_wal_keep_size')
    as max_slot_wal_keep_size
"""

_PUBLICATION: Final = "select * from pg_catalog.pg_publication where pubname = %s"

_TABLES: Final = """
select c.oid, n.nspname as schema, c.relname as name, c.relkind::text as relkind,
  c.relpersistence::text as relpersistence, c.relreplident::text as relreplident,
  c.relrowsecurity, rn.nspname as root_schema, rc.relname as root_name,
  exists(select 1 from pg_catalog.pg_publication_tables t where t.pubname = %s
    and t.schemaname = n.nspname and t.tablename = c.relname)
  or exists(select 1 from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p
    on p.oid = r.prpubid where p.pubname = %s and r.prrelid = c.oid) as published,
  exists(select 1 from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p
    on p.oid = r.prpubid where p.pubname = %s and r.prrelid = c.oid) as explicit,
  greatest(coalesce(s.n_live_tup, 0), c.reltuples::bigint, 0) as rows,
  coalesce(s.n_tup_ins, 0) as inserts, coalesce(s.n_tup_upd, 0) as updates,
  coalesce(s.n_tup_del, 0) as deletes,
  pg_catalog.pg_relation_size(c.oid) as bytes,
  case when c.reltoastrelid = 0 then 0 else pg_catalog.pg_relation_size(c.reltoastrelid) end
    as toast_bytes
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_user_tables s on s.relid = c.oid
left join pg_catalog.pg_class rc
  on rc.oid = pg_catalog.pg_partition_root(c.oid) and rc.oid <> c.oid
left join pg_catalog.pg_namespace rn on rn.oid = rc.relnamespace
where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%%'
  and n.nspname <> 'information_schema'
order by 2, 3
"""

_COLUMNS: Final = """
select c.oid, a.attname as name, pg_catalog.format_type(a.atttypid, null) as type,
  coalesce((select s.avg_width from pg_catalog.pg_stats s where s.schemaname = n.nspname
    and s.tablename = c.relname and s.attname = a.attname and not s.inherited), 0) as width,
  exists(select 1 from pg_catalog.pg_index i where i.indrelid = c.oid
    and i.indkey[0] = a.attnum) as indexed,
  exists(select 1 from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary
    and a.attnum = any(i.indkey)) as in_key
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
  and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
order by c.oid, a.attnum
"""

_POLICIES: Final = """
select p.polrelid as oid, p.polname as name,
  pg_catalog.pg_get_expr(p.polqual, p.polrelid) as using
from pg_catalog.pg_policy p where p.polcmd in ('r', '*') order by 1, 2
"""

_SLOTS: Final = """
select slot_name, plugin, active, wal_status, temporary,
  pg_catalog.pg_wal_lsn_diff(
    case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
      else pg_catalog.pg_current_wal_lsn() end, restart_lsn)::bigint as retained
from pg_catalog.pg_replication_slots where slot_type = 'logical' order by 1
"""

_STATEMENTS_PLACE: Final = """
select pg_catalog.quote_ident(n.nspname) as schema from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""

_STATEMENTS: Final = r"""
select coalesce(sum(s.calls) filter (where s.polls), 0) as list_calls,
  coalesce(sum(s.total_exec_time) filter (where s.polls), 0) as list_ms,
  coalesce(sum(s.calls), 0) as calls, coalesce(sum(s.total_exec_time), 0) as ms,
  (select i.stats_reset from {schema}.pg_stat_statements_info i) as since,
  (select i.dealloc from {schema}.pg_stat_statements_info i) as dealloc
from (
  select s.calls, s.total_exec_time, s.query ilike '%list_changes(%'
    and s.query !~* '^\s*(create|comment|alter|drop|grant|revoke)\M' as polls
  from {schema}.pg_stat_statements s
  where s.dbid = (select d.oid from pg_catalog.pg_database d
    where d.datname = pg_catalog.current_database())
) s
"""

_HAS_SUBSCRIPTIONS: Final = """
select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'realtime' and c.relname = 'subscription'
"""

_SUBSCRIPTIONS: Final = """
select n.nspname as schema, c.relname as name, sum(u.rows)::int as rows,
  count(*)::int as users, max(u.rows)::int as most
from (
  select s.entity::oid as entity,
    coalesce(s.claims ->> 'sub', s.subscription_id::text) as who, count(*) as rows
  from realtime.subscription s group by 1, 2
) u
join pg_catalog.pg_class c on c.oid = u.entity
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
group by 1, 2
"""

_COUNTERS: Final = """
select schemaname, relname, n_tup_ins + n_tup_upd + n_tup_del as changes
from pg_catalog.pg_stat_user_tables
"""
