"""The objects for broadcasts from the database, installed in a real one."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
import pytest

from realtime_hub.ops import init, messages
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres

PUBLICATION = "supabase_realtime"


@pytest.fixture
async def installed(database: str) -> str:
    await init.apply(database, [*init.plan(PUBLICATION), *messages.plan(PUBLICATION)])
    return database


def query(dsn: str, statement: LiteralString, *, role: str = "") -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as conn:
        if role:
            conn.execute("select set_config('role', %s, true)", (role,))
        return conn.execute(statement).fetchall()


SENT: LiteralString = (
    "select topic, event, private, extension, payload - 'id', payload ->> 'id' = id::text,"
    " binary_payload from realtime.messages"
)


async def test_send_keeps_a_message_with_an_id_of_its_own(installed: str) -> None:
    query(installed, """select realtime.send('{"n": 1}', 'greeting', 'room:1')""")
    expected = ("room:1", "greeting", True, "broadcast", {"n": 1}, True, None)
    assert query(installed, SENT) == [expected]


async def test_send_leaves_an_id_and_what_is_no_object_alone(installed: str) -> None:
    query(installed, """select realtime.send('{"id": 7}', 'e', 't', false)""")
    query(installed, """select realtime.send('[1]', 'e', 't', false)""")
    found = query(installed, "select payload, private from realtime.messages order by inserted_at")
    assert found == [({"id": 7}, False), ([1], False)]


async def test_send_binary_keeps_bytes(installed: str) -> None:
    query(installed, r"select realtime.send_binary('\x00ff', 'e', 't')")
    assert query(installed, "select binary_payload, payload from realtime.messages") == [
        (b"\x00\xff", None)
    ]


async def test_a_trigger_sends_what_it_changed(installed: str) -> None:
    with psycopg.connect(installed, autocommit=True) as conn:
        conn.execute(
            """
            create table nota(id int primary key, texto text);
            create function avisar() returns trigger language plpgsql as $$ begin
              perform realtime.broadcast_changes('nota:' || coalesce(new.id, old.id), tg_op,
                tg_op, tg_table_name, tg_table_schema, new, old);
              return null;
            end $$;
            create trigger avisar after insert or update or delete on nota
              for each row execute function avisar();
            insert into nota values (1, 'a');
            """
        )
        conn.execute("update nota set texto = 'b'")
        conn.execute("delete from nota")
    found = query(
        installed, "select topic, event, payload - 'id' from realtime.messages order by inserted_at"
    )

    def change(operation: str, new: Any, old: Any) -> dict[str, Any]:
        return {
            "operation": operation,
            "table": "nota",
            "schema": "public",
            "record": new,
            "old_record": old,
        }

    a, b = {"id": 1, "texto": "a"}, {"id": 1, "texto": "b"}
    assert found == [
        ("nota:1", "INSERT", change("INSERT", a, None)),
        ("nota:1", "UPDATE", change("UPDATE", b, a)),
        ("nota:1", "DELETE", change("DELETE", None, b)),
    ]


async def test_whoever_may_not_insert_gets_a_warning_and_sends_nothing(installed: str) -> None:
    with psycopg.connect(installed, autocommit=True) as conn:
        said: list[str] = []
        conn.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        conn.execute("set role authenticated")
        conn.execute("select realtime.send('{}', 'e', 'room:1')")
        conn.execute("reset role")
        conn.execute(
            "create policy p on realtime.messages for insert to authenticated"
            " with check (realtime.topic() = 'room:1')"
        )
        conn.execute("set role authenticated")
        conn.execute("select realtime.send('{}', 'e', 'room:1')")
        conn.execute("select realtime.send('{}', 'e', 'room:2')")
    assert len(said) == 2
    assert all("row-level security" in text for text in said)
    assert query(installed, "select topic from realtime.messages") == [("room:1",)]


async def test_partitions_are_made_ahead_and_dropped_past_their_time(installed: str) -> None:
    def partitions() -> list[str]:
        found = query(
            installed,
            "select relid::regclass::text from"
            " pg_partition_tree('realtime.messages') where isleaf order by 1",
        )
        return [name for (name,) in found]

    made = partitions()
    assert len(made) == 9
    with psycopg.connect(installed, autocommit=True) as conn:
        conn.execute(
            "create table realtime.messages_2020_01_01 partition of realtime.messages"
            " for values from ('2020-01-01') to ('2020-01-02')"
        )
        conn.execute("select realtime.maintain_messages('72 hours')")
    assert partitions() == made


async def test_another_role_may_maintain_if_it_is_granted_and_clients_may_not(
    postgres: Server, installed: str
) -> None:
    name = f"gateway_{installed.rpartition('_')[2]}"
    postgres.execute(
        installed,
        f"create role {name}; grant usage on schema realtime to {name};"
        f"grant execute on function realtime.maintain_messages to {name}",
    )
    try:
        query(installed, "select realtime.maintain_messages('72 hours')", role=name)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(installed, "select realtime.maintain_messages('0')", role="authenticated")
    finally:
        postgres.execute(installed, f"drop owned by {name}; drop role {name}")


async def test_the_table_is_published_once(installed: str) -> None:
    await init.apply(installed, messages.plan(PUBLICATION))
    found = query(installed, "select prrelid::regclass::text from pg_publication_rel")
    assert found == [("realtime.messages",)]


async def test_a_project_that_has_the_table_keeps_it(database: str) -> None:
    query_only = "create schema realtime; create table realtime.messages(topic text primary key)"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(query_only)
    steps = [*init.plan(PUBLICATION), *messages.plan(PUBLICATION)]
    await init.apply(database, steps)
    await init.apply(database, messages.removal())
    columns = query(
        database,
        "select attname from pg_attribute where attnum > 0"
        " and attrelid = 'realtime.messages'::regclass",
    )
    assert columns == [("topic",)]


async def test_uninstalling_leaves_nothing_and_can_be_repeated(installed: str) -> None:
    await init.apply(installed, messages.removal())
    await init.apply(installed, messages.removal())
    assert query(installed, "select 1 from pg_namespace where nspname = 'realtime'") == []
    await init.apply(installed, messages.plan(PUBLICATION))
    assert query(installed, "select realtime.topic()") == [(None,)]


async def test_uninstalling_leaves_other_objects_of_the_schema(installed: str) -> None:
    with psycopg.connect(installed, autocommit=True) as conn:
        conn.execute("create table realtime.subscription()")
    await init.apply(installed, messages.removal())
    assert query(
        installed,
        "select to_regclass('realtime.messages'), to_regclass('realtime.subscription')::text",
    ) == [(None, "realtime.subscription")]
