"""init, then uninstall: the catalog before and after is the same."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_hub.errors import SourceError
from realtime_hub.ops import init, messages, uninstall
from tests.cli.command import realtime_hub
from tests.support.postgres import TEMPLATE, Server

PUBLICATION = 'la "pub" %s'
TABLES = ["public.a", 'Mi %s.O"tra', "public.b"]
SCHEMA = (
    'create table a(id int primary key); create schema "Mi %s";'
    ' create table "Mi %s"."O""tra"(id int primary key); create table b(id int primary key)'
)
EXISTING = {
    "none": "",
    "of the project": 'create publication "la ""pub"" %s" for table a',
    "with a comment": 'create publication "la ""pub"" %s" for table a;'
    ' comment on publication "la ""pub"" %s" is e\'kept\\nas it is\'',
}
DUMP = (
    "select to_jsonb(p) - 'oid' from pg_publication p order by pubname",
    "select prrelid::regclass::text, prattrs::text, prqual::text from pg_publication_rel"
    " order by 1",
    "select nspname, nspacl::text from pg_namespace where nspname !~ '^pg_(toast|temp)' order by 1",
    "select oid::regprocedure::text, prosrc, proacl::text from pg_proc"
    " where pronamespace <> 'pg_catalog'::regnamespace order by 1",
    "select relnamespace::regnamespace::text, relname, relkind, relacl::text, relrowsecurity"
    " from pg_class where relnamespace::regnamespace::text !~ '^pg_' order by 1, 2",
    "select polname, polrelid::regclass::text from pg_policy order by 1, 2",
    "select classoid::regclass::text, objoid::text, description from pg_description"
    " where objoid >= 16384 order by 1, 2",
    "select to_jsonb(r) - 'oid' from pg_roles r order by rolname",
    "select roleid::regrole::text, member::regrole::text from pg_auth_members order by 1, 2",
    "select description from pg_shdescription order by 1",
    "select slot_name from pg_replication_slots where database = current_database()",
)


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


def dump(dsn: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [conn.execute(query.encode()).fetchall() for query in DUMP]


@pytest.fixture(scope="module")
def bare(postgres: Server):  # type: ignore[no-untyped-def]
    dsn = postgres.new_database()
    execute(dsn, SCHEMA)
    yield dsn
    postgres.drop_database(dsn)


@given(
    existing=st.sampled_from(sorted(EXISTING)),
    tables=st.lists(st.sampled_from(TABLES), unique=True),
    rooms=st.booleans(),
    roles=st.booleans(),
    times=st.integers(1, 2),
)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_uninstall_leaves_the_catalog_as_it_was(
    bare: str, existing: str, tables: list[str], rooms: bool, roles: bool, times: int
) -> None:
    with psycopg.connect(bare, autocommit=True) as conn:
        for (name,) in conn.execute("select pubname from pg_publication").fetchall():
            conn.execute(f"drop publication {psycopg.sql.Identifier(name).as_string()}".encode())
    if EXISTING[existing]:
        execute(bare, EXISTING[existing])
    before = dump(bare)
    steps = init.plan(PUBLICATION, tables, roles=roles)
    steps += messages.plan(PUBLICATION) if rooms else []

    async def walk() -> None:
        for _ in range(times):
            await init.apply(bare, steps)
        for _ in range(times):
            await init.apply(bare, uninstall.plan(PUBLICATION, "no_such_slot"))

    asyncio.run(walk())
    assert dump(bare) == before


async def test_roles_and_schemas_that_were_made_go_too() -> None:
    with Server() as server:
        dsn = server.dsn()
        execute(dsn, f"drop database {TEMPLATE}")
        for role in ("anon", "authenticated", "service_role"):
            execute(dsn, f"drop role {role}")
        before = dump(dsn)
        await init.apply(dsn, init.plan("p", roles=True))
        assert dump(dsn) != before
        await init.apply(dsn, uninstall.plan("p", "s"))
        assert dump(dsn) == before
        await init.apply(dsn, init.plan("p", roles=True))
        execute(dsn, "create table t(u uuid default auth.uid()); alter table t owner to anon")
        await init.apply(dsn, uninstall.plan("p", "s"))
        with psycopg.connect(dsn) as conn:
            kept = conn.execute("select auth.uid(), 'anon'::regrole::text").fetchone()
        assert kept == (None, "anon")


async def test_the_slot_goes_unless_somebody_reads_it(database: str) -> None:
    execute(database, "select pg_create_logical_replication_slot('ours_u', 'pgoutput')")
    execute(database, "select pg_create_logical_replication_slot('other_u', 'pgoutput')")
    await init.apply(database, uninstall.plan("p", "ours_u"))
    assert dump(database)[-1] == [("other_u",)]
    execute(database, "create publication p")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("select pg_create_logical_replication_slot('busy_u', 'pgoutput', true)")
        with pytest.raises(SourceError, match="stop the gateway first"):
            await init.apply(database, uninstall.plan("p", "busy_u"))


def test_the_command_shows_its_sql_first(database: str) -> None:
    before = dump(database)
    shown = realtime_hub("uninstall", "--database-url", database)
    assert "pg_drop_replication_slot" in shown.stdout
    assert "nothing was changed" in shown.stderr
    assert realtime_hub("uninstall", "--database-url", database, "--apply").returncode == 0
    assert dump(database) == before
