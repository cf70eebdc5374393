"""Joins, pushes, filters and names that ask for what can't be had."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from tests.badinput.conftest import ANON
from tests.support.client import Channel, RealtimeClient
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.stand import Stand

pytestmark = pytest.mark.postgres

LLAMADA: dict[str, Any] = {"event": "*", "schema": "public", "table": "llamada"}


async def _receives(stand: Stand, channel: Channel) -> None:
    """Assert that the channel gets a change on `llamada`."""
    number = next(stand.numbers)
    stand.write(f"insert into llamada values ({number}, 'nueva')")
    await channel.wait(
        lambda frame: (
            frame.event == "postgres_changes" and frame.payload["data"]["record"]["id"] == number
        )
    )


# Joins


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        "text",
        7,
        {"postgres_changes": None},
        {"postgres_changes": "all"},
        {"postgres_changes": {"event": "*"}},
        {"broadcast": "yes", "presence": 4, "private": [], "postgres_changes": []},
        {"broadcast": None, "presence": None, "postgres_changes": []},
    ],
)
async def test_a_config_of_wrong_types_joins_with_what_parses(
    client: RealtimeClient, config: Any
) -> None:
    reply = await client.call("realtime:r", "phx_join", {"config": config}, join_ref="1")
    assert reply.payload["status"] == "ok"
    assert reply.payload["response"]["postgres_changes"] == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "object"),
        ("llamada", "object"),
        ([], "object"),
        ({}, "schema"),
        ({"event": "*", "schema": 7, "table": "llamada"}, "schema must be a string"),
        ({"event": "*", "schema": "public", "table": ["llamada"]}, "table must be a string"),
        ({**LLAMADA, "filter": None}, "filter must be a string"),
        ({**LLAMADA, "filter": 7}, "filter must be a string"),
        ({**LLAMADA, "select": "id"}, "select must be a list"),
        ({**LLAMADA, "select": [1]}, "select must be a list"),
        ({**LLAMADA, "select": ["no"]}, "invalid column for select no"),
    ],
)
async def test_a_binding_of_wrong_types_is_refused_by_name_and_others_work(
    stand: Stand, client: RealtimeClient, entry: Any, words: str
) -> None:
    channel = await client.join("room", [entry, LLAMADA])
    assert channel.joined
    assert len(channel.bindings) == 2
    await channel.wait_system("error", words)
    await _receives(stand, channel)


async def test_a_join_without_config_listens_to_what_its_topic_names(
    stand: Stand, client: RealtimeClient
) -> None:
    """Clients older than protocol v2: events are named by the kind of change."""
    topic = "realtime:public:llamada"
    reply = await client.call(topic, "phx_join", {}, join_ref="1")
    assert reply.payload["status"] == "ok"
    number = next(stand.numbers)
    stand.write(f"insert into llamada values ({number}, 'nueva')")
    frame = await client.wait(lambda f: f.topic == topic and f.event == "INSERT")
    assert frame.payload["record"]["id"] == number


async def test_ten_thousand_bindings_are_refused_in_words(client: RealtimeClient) -> None:
    channel = await client.join("room", [LLAMADA] * 10_000)
    assert not channel.joined
    assert channel.reason.startswith("TooManyBindings: ")


async def test_a_topic_without_a_name_is_refused_in_words(client: RealtimeClient) -> None:
    channel = await client.join("")
    assert channel.reason.startswith("TopicNameRequired: ")


@pytest.mark.parametrize("topic", ["", "room", "phoenix", "REALTIME:room", "realtime"])
async def test_a_topic_of_no_kind_is_unmatched(client: RealtimeClient, topic: str) -> None:
    reply = await client.call(topic, "phx_join", {"config": {}}, join_ref="1")
    assert reply.payload == {"status": "error", "response": {"reason": "unmatched topic"}}


@pytest.mark.parametrize("name", ["a\x00b", "ñandú 📞", "a" * 900, '"quoted"', "%", "../x"])
async def test_an_odd_topic_is_only_a_name(stand: Stand, client: RealtimeClient, name: str) -> None:
    channel = await client.join(name, [LLAMADA])
    assert channel.joined
    await _receives(stand, channel)


async def test_more_channels_than_allowed_are_refused_and_the_others_live(
    stand: Stand, client: RealtimeClient
) -> None:
    first = await client.join("room0", [LLAMADA])
    others = [await client.join(f"room{n}") for n in range(1, 101)]
    assert others[-1].reason.startswith("ChannelRateLimitReached: ")
    await _receives(stand, first)


async def test_a_private_channel_gives_no_row_that_a_public_one_would_not(
    stand: Stand, client: RealtimeClient
) -> None:
    channel = await client.join("room", [LLAMADA], private=True)
    if channel.joined:
        await _receives(stand, channel)
    else:
        assert channel.reason


# Pushes


@pytest.mark.parametrize(
    "event", ["postgres_changes", "system", "phx_reply", "phx_close", "phx_error", "presence_diff"]
)
async def test_a_server_event_forged_by_a_client_reaches_nobody(
    stand: Stand, client: RealtimeClient, event: str
) -> None:
    async with await RealtimeClient.connect(stand.url, ANON) as other:
        victim = await other.join("room", [LLAMADA])
        await victim.wait_system("ok")
        forger = await client.join("room", [LLAMADA])
        seen = len(victim.frames)
        reply = await client.call(
            forger.topic,
            event,
            {"ids": victim.ids, "data": {"type": "INSERT"}, "status": "ok", "response": {}},
            join_ref=forger.join_ref,
        )
        assert reply.payload["status"] == "error"
        await _receives(stand, victim)
        assert [frame.event for frame in victim.frames[seen:]] == ["postgres_changes"]


async def test_a_push_to_a_topic_not_joined_is_unmatched(client: RealtimeClient) -> None:
    reply = await client.call("realtime:elsewhere", "broadcast", {}, join_ref="1")
    assert reply.payload["response"] == {"reason": "unmatched topic"}


@pytest.mark.parametrize("token", [None, 7, [], {}, "", "sb_publishable_x"])
async def test_a_token_push_that_says_nothing_changes_nothing(
    stand: Stand, client: RealtimeClient, token: Any
) -> None:
    channel = await client.join("room", [LLAMADA])
    await channel.push("access_token", {"access_token": token})
    await channel.push("access_token", {})
    await _receives(stand, channel)


async def test_joining_and_leaving_in_a_storm_ends_in_the_last_state(
    stand: Stand, client: RealtimeClient
) -> None:
    topic, config = "realtime:room", {"config": {"postgres_changes": [LLAMADA]}}
    for number in range(50):
        ref = str(1000 + number)
        await client.send(topic, "phx_join", config, join_ref=ref, ref=ref)
        if number < 49:
            await client.send(topic, "phx_leave", {}, join_ref=ref)
    reply = await client.wait(lambda f: f.event == "phx_reply" and f.ref == "1049")
    await _receives(stand, Channel(client, topic, "1049", reply))


# Filters

INJECTION = 'x";drop table llamada;--'

FILTERS = {
    "a column that is SQL": (f"{INJECTION}=eq.1", "invalid column for filter"),
    "a value that is SQL": ("id=eq.1); drop table llamada;--", "invalid input syntax"),
    "a cast": ("id::text=eq.1", "invalid column for filter"),
    "a function": ("lower(estado)=eq.x", "invalid column for filter"),
    "a json path": ("estado->>a=eq.x", "invalid column for filter"),
    "no operator": ("id=1", ""),
    "an unknown operator": ("estado=fts.x", "unknown operator fts"),
    "no equals sign": ("undefined", "filter without ="),
    "only commas": (",,,", "empty filter segment"),
    "nested parentheses": ("id=in." + "(" * 5000 + ")" * 5000, ""),
    "unclosed quotes": ('estado=in.("a,b', ""),
    "ten thousand members": (f"id=in.({','.join(map(str, range(10_000)))})", "too many values"),
    "a NUL in the value": ("estado=eq.a\x00b", ""),
    "a NUL in the column": ("es\x00tado=eq.a", "invalid column for filter"),
    "a value of a megabyte": ("id=eq." + "9" * 1_000_000, ""),
    "ten thousand conditions": (",".join(["id=gt.0"] * 10_000), ""),
    "a bad regular expression": ("estado=match.([", "invalid regular expression"),
    "no column": ("=eq.1", ""),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_bad_filter_is_refused_in_words_and_others_work(
    stand: Stand, client: RealtimeClient, name: str
) -> None:
    text, words = FILTERS[name]
    channel = await client.join("room", [{**LLAMADA, "filter": text}, LLAMADA])
    assert channel.joined
    refusal = await channel.wait_system("error", words)
    assert len(refusal["message"]) < 2_000
    await _receives(stand, channel)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(x*)*y", "((a{1,100}){1,100}){1,100}", "(.*)*(.*)*(.*)*z"]
)
async def test_a_catastrophic_regular_expression_harms_nobody(
    stand: Stand, client: RealtimeClient, pattern: str
) -> None:
    channel = await client.join("evil", [{**LLAMADA, "filter": f"estado=match.{pattern}"}])
    async with await RealtimeClient.connect(stand.url, ANON) as other:
        innocent = await other.join("innocent", [LLAMADA])
        stand.write(
            f"insert into llamada values ({next(stand.numbers)}, repeat('a', 10000) || 'b')"
        )
        await _receives(stand, innocent)
    assert (await client.heartbeat()).payload["status"] == "ok"
    assert channel.joined


@pytest.mark.parametrize(
    "binding",
    [{"filter": "monto=gt.5"}, {"filter": "monto=is.null"}, {"select": ["monto"]}],
    ids=["filter", "is", "select"],
)
async def test_a_hidden_column_can_be_neither_filtered_nor_selected(
    client: RealtimeClient, binding: dict[str, Any]
) -> None:
    wanted = {"event": "*", "schema": "public", "table": "sueldo", **binding}
    channel = await client.join("room", [wanted])
    kind = "filter" if "filter" in binding else "select"
    await channel.wait_system("error", f"invalid column for {kind} monto")


async def test_a_hidden_column_is_never_delivered(stand: Stand, client: RealtimeClient) -> None:
    channel = await client.join("room", [{"event": "*", "schema": "public", "table": "sueldo"}])
    number = next(stand.numbers)
    stand.write(f"insert into sueldo values ({number}, 'Ana', 100)")
    [change] = await channel.wait_changes(1)
    assert change["data"]["record"] == {"id": number, "nombre": "Ana"}
    assert [column["name"] for column in change["data"]["columns"]] == ["id", "nombre"]


# Names


@pytest.mark.parametrize(
    ("schema", "table"),
    [
        ("pg_catalog", "pg_class"),
        ("auth", "users"),
        ("public", "sin_publicar"),
        ("public", "no_existe"),
        ("public", '"llamada"'),
        ("public", "public.llamada"),
        ("public", "LLAMADA"),
        ("public", "llam%"),
        ("public", "llamad_"),
        ("public", "llamada "),
        ("public", "llamada\x00"),
        ("public", INJECTION),
        ("", "llamada"),
        ("public", ""),
        ("nada", "llamada"),
        ("public", "x" * 100_000),
    ],
)
async def test_a_table_that_is_not_published_is_refused_in_words(
    stand: Stand, client: RealtimeClient, schema: str, table: str
) -> None:
    wanted = {"event": "*", "schema": schema, "table": table}
    channel = await client.join("room", [wanted, LLAMADA])
    refusal = await channel.wait_system("error", "not in publication")
    assert len(refusal["message"]) < 2_000
    await _receives(stand, channel)


async def test_nothing_that_clients_sent_was_run_as_sql(stand: Stand) -> None:
    with psycopg.connect(stand.dsn) as conn:
        assert conn.execute("select to_regclass('public.llamada')").fetchone() != (None,)


async def test_a_publication_with_a_name_full_of_quotes_is_served(postgres: Server) -> None:
    dsn = postgres.new_database()
    name = """It's "the" publication; drop table llamada"""
    quoted = name.replace('"', '""')
    postgres.execute(dsn, "create table llamada(id int primary key)")
    postgres.execute(dsn, f'create publication "{quoted}" for table llamada')
    gateway = Gateway(dsn, publication=name)
    try:
        await asyncio.to_thread(gateway.start)
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [LLAMADA])
            postgres.execute(dsn, "insert into llamada values (1)")
            await channel.wait_changes(1)
    finally:
        await asyncio.to_thread(gateway.close)
        postgres.drop_database(dsn)


@pytest.mark.parametrize("slot", ["With Capitals", "drop;table", 'quote"d', "x" * 64, ""])
async def test_a_slot_name_that_postgres_does_not_allow_is_refused_at_the_start(
    database: str, slot: str
) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("create publication supabase_realtime for all tables")
    gateway = Gateway(database)
    gateway._arguments[gateway._arguments.index("--slot") + 1] = slot
    gateway.start(wait=False)
    try:
        assert gateway.process is not None
        status = await asyncio.to_thread(gateway.process.wait, 30)
        assert status not in (0, None)
        assert "slot" in gateway.log.lower()
        assert "Traceback" not in gateway.log
    finally:
        gateway.kill()
        gateway.close()
