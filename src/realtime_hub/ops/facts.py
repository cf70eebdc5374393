"""What a database says of itself, as far as the doctor's rules need it; one look, read-only."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from realtime_hub.errors import SettingsError
from realtime_hub.ops.connection import translated

ROLES: Final = ("anon", "authenticated", "service_role")
_SETTINGS: Final = (
    "server_version_num",
    "wal_level",
    "max_replication_slots",
    "max_wal_senders",
    "max_slot_wal_keep_size",
    "wal_sender_timeout",
    "logical_decoding_work_mem",
)


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table of the publication, as it is published."""

    name: str
    has_key: bool
    row_security: bool
    identity: str


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Facts of one moment.

    settings: of the server, as `pg_settings` has them, sizes in the unit kept there. roles: of
    Supabase's three, whether our role may SET ROLE to it; missing ones are not there. slot: a
    row of pg_replication_slots, None if there is none. hosted: it is Supabase's service.
    extensions: those of interest that are there. clock_skew: seconds that the server is ahead.
    """

    port: int
    settings: Mapping[str, str]
    may_replicate: bool
    used_slots: int
    used_senders: int
    publication: Mapping[str, Any] | None
    tables: Sequence[PublishedTable]
    roles: Mapping[str, bool]
    has_auth_uid: bool
    slot: Mapping[str, Any] | None = None
    may_create: bool = False
    user: str = ""
    database: str = ""
    host: str = ""
    hosted: bool = False
    extensions: Sequence[str] = ("pg_stat_statements",)
    clock_skew: float = 0.0

    @property
    def version(self) -> int:
        """The server's major version."""
        return int(self.settings["server_version_num"]) // 10_000


async def gather(dsn: str, publication: str, slot: str) -> DatabaseFacts:
    """Look at the database.

    Raises:
        DatabaseUnreachableError: it does not answer, or refuses us.
        SourceError: it answers in a way that is not understood, being very old for instance.
        SettingsError: libpq does not understand the DSN.
    """
    try:
        given = conninfo_to_dict(dsn)
        port, host = int(given.get("port") or 5432), str(given.get("host") or "")
    except (psycopg.ProgrammingError, ValueError):
        raise SettingsError("the database URL is not one that PostgreSQL's libpq reads") from None
    try:
        conn = await psycopg.AsyncConnection.connect(
            dsn, autocommit=True, connect_timeout=10, row_factory=dict_row
        )
        async with conn:
            await conn.execute("set search_path = ''")
            facts = await _gather(conn, port, publication, slot)
            return replace(facts, host=host, hosted=_is_supabase(host))
    except (psycopg.Error, socket.gaierror) as error:
        raise translated(error) from None


async def _gather(
    conn: psycopg.AsyncConnection[dict[str, Any]], port: int, publication: str, slot: str
) -> DatabaseFacts:
    async def rows(query: str, *parameters: object) -> list[dict[str, Any]]:
        return await (await conn.execute(query.encode(), parameters)).fetchall()

    settings = await rows(
        "select name, setting from pg_catalog.pg_settings where name = any(%s)", list(_SETTINGS)
    )
    (us,) = await rows(_OURSELVES)
    privilege = "set" if int(_setting(settings, "server_version_num")) >= 160_000 else "member"
    roles = await rows(
        "select rolname, pg_catalog.pg_has_role(oid, %s) as settable"
        " from pg_catalog.pg_roles where rolname = any(%s)",
        privilege,
        list(ROLES),
    )
    publications = await rows(
        "select * from pg_catalog.pg_publication where pubname = %s", publication
    )
    slots = await rows(_SLOT, slot)
    return DatabaseFacts(
        port=port,
        settings={row["name"]: row["setting"] for row in settings},
        may_replicate=us["may_replicate"],
        used_slots=us["used_slots"],
        used_senders=us["used_senders"],
        publication=publications[0] if publications else None,
        tables=[
            PublishedTable(t["name"], t["has_key"], t["row_security"], t["identity"])
            for t in await rows(_TABLES, publication)
        ],
        roles={row["rolname"]: row["settable"] for row in roles},
        has_auth_uid=us["has_auth_uid"],
        slot=slots[0] if slots else None,
        may_create=us["may_create"],
        user=us["user"],
        database=us["database"],
        extensions=us["extensions"],
        clock_skew=us["clock"] - time.time(),
    )


def _is_supabase(host: str) -> bool:
    return host.endswith((".supabase.co", ".supabase.com"))


def _setting(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    return next((str(row["setting"]) for row in rows if row["name"] == name), "0")


_OURSELVES: Final = """
select current_user::text as user, pg_catalog.current_database()::text as database,
  (select r.rolreplication or r.rolsuper from pg_catalog.pg_roles r
    where r.rolname = current_user) as may_replicate,
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create,
  (select pg_catalog.count(*) from pg_catalog.pg_replication_slots)::int as used_slots,
  (select pg_catalog.count(*) from pg_catalog.pg_stat_replication)::int as used_senders,
  exists(select 1 from pg_catalog.pg_proc p join pg_catalog.pg_namespace n
         on n.oid = p.pronamespace where n.nspname = 'auth' and p.proname = 'uid') as has_auth_uid,
  array(select e.extname::text from pg_catalog.pg_extension e
    where e.extname = 'pg_stat_statements') as extensions,
  extract(epoch from pg_catalog.clock_timestamp())::float8 as clock
"""

_TABLES: Final = """
select pg_catalog.format('%%I.%%I', t.schemaname, t.tablename) as name,
  exists(select 1 from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary)
    as has_key,
  c.relrowsecurity as row_security, c.relreplident::text as identity
from pg_catalog.pg_publication_tables t
join pg_catalog.pg_namespace n on n.nspname = t.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
where t.pubname = %s
order by 1
"""

_SLOT: Final = """
select slot_name, plugin, slot_type, database, temporary, active, wal_status,
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::bigint as retained
from pg_catalog.pg_replication_slots where slot_name = %s
"""
