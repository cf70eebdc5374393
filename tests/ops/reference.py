"""The reference case's database: the demo's schema, a load, and stand-ins.

STAND-INS, so labelled: `realtime.subscription` and a statement that is *named like*
`realtime.list_changes`. Both only have the shape of Supabase's; nothing of Supabase runs here.
"""

from __future__ import annotations

import asyncio
from importlib import resources
from itertools import islice
from typing import Any

import psycopg

from realtime_hub.demo import database
from realtime_hub.demo.load import CallCentre

PUBLICATION = "supabase_realtime"
NEEDLESS = {
    "z_backup_auth_sessions",
    "z_legacy_auth_users_table_backup",
    "coordinaciones",
    "permission_groups",
    "group_permissions",
    "user_permission_groups",
    "whatsapp_conversation_labels",
}
STATIC = NEEDLESS - {
    "z_backup_auth_sessions",
    "z_legacy_auth_users_table_backup",
    "whatsapp_conversation_labels",
}
KEPT = {
    "auth_user_coordinaciones",
    "bot_pause_status",
    "conversaciones_whatsapp",
    "llamadas_programadas",
    "llamadas_ventas",
    "mensajes_whatsapp",
    "prospectos",
    "support_ticket_comments",
    "support_ticket_notifications",
    "support_tickets",
    "system_config",
    "user_notifications",
    "whatsapp_campaigns",
}
BINDINGS = {"llamadas_ventas": 5, "mensajes_whatsapp": 4, "prospectos": 4}
"""Channels of each user on these tables; one on every other that is listened to."""

STAND_INS = """
create schema if not exists realtime;
create table realtime.subscription (
  id bigint generated always as identity primary key,
  subscription_id uuid not null default gen_random_uuid(), entity regclass not null,
  filters text[] not null default '{}', claims jsonb not null, created_at timestamptz default now()
);
comment on table realtime.subscription is 'stand-in of the tests';
create function realtime.list_changes(slow float) returns void language sql as
  'select pg_sleep(slow)';
comment on function realtime.list_changes is 'stand-in of the tests: only the name is alike';
create extension if not exists pg_stat_statements;
"""


def create(dsn: str, *, changes: int = 1_500, poll: float = 0.05) -> None:
    """The schema with its users, `changes` writes of the load, and everybody listening."""
    schema = resources.files(database.__package__ or "").joinpath("schema.sql").read_bytes()
    with psycopg.connect(dsn, autocommit=True) as conn:
        # The template's own functions stand in the way of the demo's.
        conn.execute("drop schema if exists auth cascade")
        conn.execute(schema)
        conn.execute(STAND_INS.encode())
        subscribe(conn)
    load(dsn, changes, poll=poll)


def subscribe(
    conn: psycopg.Connection[Any], *, users: int = 3, bindings: int | None = None
) -> None:
    """Rows as Supabase Realtime would have them; bindings: of each user per table, if not 5/4/4."""
    conn.execute("delete from realtime.subscription")
    for table in sorted(KEPT):
        count = BINDINGS.get(table, 1) if bindings is None else bindings
        conn.execute(
            "insert into realtime.subscription (entity, claims)"
            " select %s::regclass, jsonb_build_object('sub', 'user' || u, 'role', 'authenticated')"
            " from generate_series(1, %s) u, generate_series(1, %s)",
            (f"public.{table}", users, count),
        )


def load(dsn: str, changes: int, *, first_id: int = 0, poll: float = 0.05) -> None:
    """Write, poll with the statement that is named like Supabase's, and publish the statistics."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        with conn.transaction():
            for write in islice(CallCentre(1, first_id=first_id), changes):
                for statement, values in write.statements:
                    conn.execute(statement, values)
            # Written, but nobody listens.
            conn.execute(
                "insert into whatsapp_conversation_labels"
                " select g + %s, md5(g::text)::uuid, 'nuevo', 'rojo' from generate_series(1, 60) g",
                (first_id,),
            )
        conn.execute("analyze")
        # Only what follows counts, or a busy machine would make the share small; and only in this
        # database, since others of the server are other tests'.
        conn.execute(
            "select pg_stat_statements_reset(0, oid, 0) from pg_database"
            " where datname = current_database()"
        )
        for _ in range(4):
            conn.execute("select realtime.list_changes(%s)", (poll,))
        conn.execute("select pg_stat_force_next_flush()")
        conn.execute("select 1")


def scan_document() -> dict[str, Any]:
    """What a scan of the case's front end says, in the scanner's format."""
    places = {
        "llamadas_ventas": ["ActivityStore", "LiveMonitor", "CallsWidget", "CallDetail"],
        "prospectos": ["ProspectsWidget", "ProspectsManager", "Conversations", "LiveChat"],
        "mensajes_whatsapp": ["ProspectsWidget", "Conversations", "LiveChat"],
        "llamadas_programadas": ["LiveChat"],
        "uchat_conversations": ["Conversations"],
        "uchat_messages": ["Conversations"],
    }
    places |= {name: ["Layout"] for name in KEPT - places.keys()}
    found = [
        {"file": f"src/{owner}.tsx", "owner": owner, "table": table, "line": 10 + number}
        for number, (table, owners) in enumerate(sorted(places.items()))
        for owner in owners
    ]
    return {
        "schema": 1,
        "files": 12,
        "unparsed": [],
        "channels": [
            {
                "file": item["file"],
                "line": item["line"],
                "owner": item["owner"],
                "name": "`calls-${Date.now()}`" if unique else f"'{item['table']}'",
                "name_kind": "template" if unique else "literal",
                "unique_per_mount": unique,
                "style": "channel",
                "cleanup": "yes",
                "reachable": True,
                "bindings": [
                    {
                        "line": item["line"] + 1,
                        "kind": "postgres_changes",
                        "event": "UPDATE",
                        "schema": "public",
                        "table": item["table"],
                        "filter": None,
                        "resolution": "proven",
                    }
                ],
            }
            for item in found
            for unique in [item["table"] == "llamadas_ventas"]
        ],
        "subscriptions": [
            {"table": f["table"], "event": "UPDATE", "filter": None, "via": "", **f} for f in found
        ],
        "publication": [],
    }


async def create_async(dsn: str, **options: Any) -> None:
    """`create`, from a test that has a loop."""
    await asyncio.to_thread(lambda: create(dsn, **options))
