from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from realtime_hub.errors import DatabaseUnreachableError, SettingsError
from realtime_hub.ops import doctor
from realtime_hub.ops.doctor import Status, examine, judge
from realtime_hub.ops.facts import DatabaseFacts, PublishedTable

FIT = DatabaseFacts(
    port=5432,
    settings={
        "server_version_num": "180006",
        "wal_level": "logical",
        "max_replication_slots": "10",
        "max_wal_senders": "10",
        "max_slot_wal_keep_size": "10240",
    },
    may_replicate=True,
    used_slots=1,
    used_senders=1,
    publication={"puballtables": False, "pubinsert": True, "pubupdate": True, "pubdelete": True},
    tables=[PublishedTable("public.llamadas", True, True, "d")],
    roles={"anon": True, "authenticated": True, "service_role": True},
    has_auth_uid=True,
    user="hub",
    database="postgres",
)
SLOT = {
    "slot_name": "realtime_hub",
    "plugin": "pgoutput",
    "database": "postgres",
    "active": False,
    "wal_status": "reserved",
    "retained": 0,
}


def server(**settings):
    return {"settings": {**FIT.settings, **settings}}


def published(**flags):
    return {"publication": {**FIT.publication, **flags}}


def table(*, has_key=True, row_security=True):
    return {"tables": [PublishedTable("public.x", has_key, row_security, "d")]}


def problems(facts):
    return {
        check.name: check
        for check in judge(facts, "supabase_realtime")
        if check.status is not Status.OK and check.name != "open files"
    }


def test_a_fit_database_has_no_problem():
    assert problems(FIT) == {}
    assert problems(replace(FIT, slot=SLOT)) == {}


@pytest.mark.parametrize(
    ("facts", "name", "status", "fix"),
    [
        (server(server_version_num="140001"), "version", "failure", "upgrade"),
        (server(wal_level="replica"), "wal_level", "failure", "alter system"),
        ({"may_replicate": False}, "replication", "failure", 'alter role "hub" replication'),
        ({"port": 6543}, "connection", "warning", "direct connection"),
        ({"host": "aws-0-eu.pooler.supabase.com"}, "connection", "failure", "direct connection"),
        ({"extensions": []}, "pg_stat_statements", "warning", "create extension"),
        ({"clock_skew": -60.0}, "clock", "warning", "NTP"),
        ({"hosted": True, "used_slots": 10}, "max_replication_slots", "failure", "postgres-config"),
        (
            {"hosted": True, **server(max_slot_wal_keep_size="-1")},
            "max_slot_wal_keep_size",
            "warning",
            "postgres-config",
        ),
        ({"used_slots": 10}, "max_replication_slots", "failure", "max_replication_slots = '15'"),
        ({"used_senders": 10}, "max_wal_senders", "failure", "max_wal_senders = '15'"),
        ({"slot": {**SLOT, "wal_status": "lost"}}, "slot", "failure", "pg_drop_replication_slot"),
        ({"slot": {**SLOT, "plugin": "wal2json"}}, "slot", "failure", "--slot"),
        ({"slot": {**SLOT, "database": "otra"}}, "slot", "failure", "--slot"),
        ({"slot": {**SLOT, "active": True}}, "slot", "warning", ""),
        (
            server(max_slot_wal_keep_size="-1"),
            "max_slot_wal_keep_size",
            "warning",
            "alter system",
        ),
        ({"roles": {"anon": True}}, "roles", "warning", "init --roles"),
        ({"roles": {**FIT.roles, "anon": False}}, "roles", "failure", 'grant anon to "hub"'),
        ({"has_auth_uid": False}, "auth.uid()", "warning", "init --roles"),
        ({"publication": None}, "publication", "failure", "init --apply"),
        (published(puballtables=True), "publication", "warning", "create"),
        (published(pubdelete=False), "publication", "warning", "publish ="),
        ({"tables": []}, "publication", "warning", "add table"),
        (table(has_key=False), "primary key", "warning", "public.x"),
        (table(row_security=False), "row security", "warning", "public.x"),
    ],
)  # fmt: skip
def test_each_problem_is_found_with_its_fix(facts, name, status, fix):
    found = problems(replace(FIT, **facts))
    assert found[name].status == status
    assert fix in found[name].remedy
    assert set(found) == {name}


def test_tables_of_broadcasts_are_not_counted_by_their_partitions():
    names = ["public.llamadas", "realtime.messages_2026_01_01", "realtime.messages_2026_01_02"]
    tables = [PublishedTable(name, True, True, "d") for name in names]
    (check,) = (c for c in judge(replace(FIT, tables=tables), "p") if c.name == "publication")
    assert check.text == "p has 1 table, and realtime.messages"


async def test_a_start_hears_of_problems_and_is_not_stopped_by_them(database):
    names = {c.name for c in await doctor.problems(database, "no_such", "realtime_hub")}
    assert "publication" in names
    assert await doctor.problems("postgresql://ana@127.0.0.1:1/db", "p", "s") == []
    assert await doctor.problems("not a url", "p", "s") == []


def test_failures_come_first():
    facts = replace(FIT, port=6543, publication=None)
    assert [check.status for check in judge(facts, "p")][:2] == ["failure", "warning"]


async def test_a_real_server_is_examined(database):
    before = {c.name: c for c in await examine(database, "supabase_realtime", "realtime_hub")}
    assert before["publication"].status is Status.FAILURE
    assert before["wal_level"].status is Status.OK
    assert before["roles"].status is Status.OK
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("create table sin_llave(a int)")
        await conn.execute("create publication supabase_realtime for table sin_llave")
        await conn.execute("select pg_create_logical_replication_slot('realtime_hub', 'pgoutput')")
    after = {c.name: c for c in await examine(database, "supabase_realtime", "realtime_hub")}
    assert after["publication"].status is Status.OK
    assert "public.sin_llave" in after["primary key"].text
    assert "waits" in after["slot"].text


async def test_a_server_that_is_away_is_said_without_its_password():
    with pytest.raises(DatabaseUnreachableError) as caught:
        await examine("postgresql://ana:geheim@127.0.0.1:1/db", "p", "s")
    assert "geheim" not in str(caught.value)


async def test_a_url_that_makes_no_sense_is_a_setting():
    with pytest.raises(SettingsError) as caught:
        await examine("geheim geheim", "p", "s")
    assert "geheim" not in str(caught.value)


async def test_a_role_that_may_not_be_become_is_found_with_its_grant(postgres, database):
    """From 16 on a membership may lack the right to SET ROLE, which the gateway needs."""
    user = f"hub_{database.rpartition('/')[2]}"
    postgres.execute(database, f"create role {user} login replication; grant anon to {user}")

    async def roles():
        dsn = make_conninfo(database, user=user)
        checks = await examine(dsn, "supabase_realtime", "realtime_hub")
        return next(check for check in checks if check.name == "roles")

    try:
        assert (await roles()).text.endswith(
            "can't become authenticated, service_role: policies can't be asked"
        )
        postgres.execute(database, f"grant authenticated, service_role to {user}")
        assert (await roles()).status is Status.OK
        with psycopg.connect(database, autocommit=True) as conn:
            if conn.info.server_version < 160_000:
                return
            conn.execute(f"revoke anon from {user}")
            conn.execute(f"grant anon to {user} with set false")
        found = await roles()
        assert (found.status, found.remedy) == (Status.FAILURE, f'grant anon to "{user}";')
    finally:
        postgres.execute(database, f"drop role {user}")
