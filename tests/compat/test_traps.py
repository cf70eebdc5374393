"""The behaviours of real clients that a server trips over; each test names one."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.compat.conftest import Starter
from tests.compat.driver import SUBSCRIBED, Driver, on, subscribing
from tests.support.client import PATHS, RealtimeClient
from tests.support.stand import Stand
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.node]

ANON = make_token("anon")
LLAMADA = {"event": "*", "schema": "public", "table": "llamada"}


# 1. Two addresses


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("version", ["1.0.0", "2.0.0", None])
async def test_both_paths_speak_both_versions(stand: Stand, path: str, version: str | None) -> None:
    async with await RealtimeClient.connect(stand.url, ANON, path=path, version=version) as raw:
        channel = await raw.join("room", [LLAMADA])
        stand.write("insert into llamada values (1)")
        [change] = await channel.wait_changes(1)
        assert change["data"]["record"]["id"] == 1


# 2. Two versions


async def test_both_versions_share_a_topic(stand: Stand, start: Starter) -> None:
    drivers = [await start(kind) for kind in ("js 2.0.0", "js 1.0.0", "py 1.0.0")]
    for driver in drivers:
        await driver.connect(stand.url, ANON)
        await driver.subscribe("room", on())
    stand.write("insert into llamada values (1, 'nueva')")
    for driver in drivers:
        [change] = await driver.wait_changes("room", 1)
        assert change.new["estado"] == "nueva"


# 3 and 4. The frame's shape


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
async def test_every_frame_has_all_its_keys_and_an_object_as_payload(
    stand: Stand, version: str
) -> None:
    async with await RealtimeClient.connect(stand.url, ANON, version=version) as raw:
        channel = await raw.join("room", [LLAMADA, {**LLAMADA, "table": "sin_publicar"}])
        await raw.heartbeat()
        stand.write("insert into llamada values (1)")
        await channel.wait_changes(1)
        await channel.leave()
        await channel.wait(lambda frame: frame.event == "phx_close")
        for frame in raw.frames:
            assert isinstance(frame.payload, dict), frame
            value = json.loads(frame.raw)
            if version == "1.0.0":
                assert value.keys() == {"topic", "event", "payload", "ref"}
            else:
                assert len(value) == 5
        assert {f.event for f in raw.frames} >= {"phx_reply", "system", "postgres_changes"}


# 5. The reply's echo


async def test_every_form_of_binding_is_echoed_so_that_clients_recognise_it(
    client: Driver, stand: Stand
) -> None:
    bindings = [
        on("INSERT"),
        on("*", filter="id=eq.1"),
        on("UPDATE", select=["estado"]),
        on("DELETE", "cita"),
        {"event": "*", "schema": "public"},
        on("*", filter="estado=eq.nueva,id=gt.0"),
    ]
    await client.connect(stand.url, ANON)
    await client.subscribe("room", *bindings)
    assert client.statuses("room") == [SUBSCRIBED]


async def test_a_channel_without_bindings_gets_an_empty_list(stand: Stand) -> None:
    async with await RealtimeClient.connect(stand.url, ANON) as raw:
        channel = await raw.join("room")
        assert channel.bindings == []


async def test_absent_and_null_keys_of_a_binding_never_come_back_as_empty_text(
    stand: Stand,
) -> None:
    async with await RealtimeClient.connect(stand.url, ANON) as raw:
        channel = await raw.join("room", [{"event": "*", "schema": "public", "select": None}])
        [echo] = channel.bindings
        assert "" not in echo.values()


# 6. Ids


async def test_ids_are_integers_and_never_zero(stand: Stand) -> None:
    async with await RealtimeClient.connect(stand.url, ANON) as raw:
        wanted = [{**LLAMADA, "filter": f"id=eq.{n}"} for n in range(50)]
        channel = await raw.join("room", wanted)
        assert all(type(ident) is int and ident > 0 for ident in channel.ids)
        assert len(set(channel.ids)) == 50


async def test_equal_bindings_are_all_told_of_one_change(stand: Stand, start: Starter) -> None:
    driver = await start("py 1.0.0")
    await driver.connect(stand.url, ANON)
    await driver.subscribe("room", on(), on())
    stand.write("insert into llamada values (1)")
    changes = await driver.wait_changes("room", 2)
    assert sorted(change.binding for change in changes) == [0, 1]


# 7. SUBSCRIBED first


async def test_the_join_reply_comes_before_any_change(stand: Stand) -> None:
    async with await RealtimeClient.connect(stand.url, ANON) as raw:
        for number in range(10):
            write = asyncio.to_thread(stand.write, f"insert into llamada values ({number})")
            channel, _ = await asyncio.gather(raw.join(f"room{number}", [LLAMADA]), write)
            assert channel.frames[0].event == "phx_reply"


async def test_a_write_right_after_subscribed_is_received(client: Driver, stand: Stand) -> None:
    await client.connect(stand.url, ANON)
    for number in range(5):
        room = f"room{number}"
        await client.tell(subscribing(room, on()))
        await client.subscribed(room)
        stand.write(f"insert into llamada values ({number})")
        [change] = await client.wait_changes(room, 1)
        assert change.new["id"] == number


async def test_a_star_binding_does_not_fire_on_what_other_bindings_match(
    client: Driver, stand: Stand
) -> None:
    await client.connect(stand.url, ANON)
    await client.subscribe("room", on("*", filter="estado=eq.activa"), on("*", "cita"))
    stand.write("insert into cita values (1)", "insert into llamada values (1, 'activa')")
    changes = await client.wait_changes("room", 2)
    assert [(change.binding, change.table) for change in changes] == [(1, "cita"), (0, "llamada")]


# 8. Events that carry an error


async def test_a_change_without_a_key_is_reported_to_every_client(
    client: Driver, stand: Stand
) -> None:
    await client.connect(stand.url, ANON)
    await client.subscribe("room", on("INSERT", "sin_clave"))
    stand.write("insert into sin_clave values ('x')")
    [change] = await client.wait_changes("room", 1)
    assert change.errors == ["Error 400: Bad Request, no primary key"]
    assert change.new == {}


# 9. A second join


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
async def test_a_second_join_replaces_the_first_without_a_word(stand: Stand, version: str) -> None:
    async with await RealtimeClient.connect(stand.url, ANON, version=version) as raw:
        first = await raw.join("room", [{**LLAMADA, "table": "cita"}])
        second = await raw.join("room", [LLAMADA])
        assert first.joined
        assert second.joined
        stand.write("insert into cita values (1)", "insert into llamada values (1)")
        [change] = await second.wait_changes(1)
        assert change["data"]["table"] == "llamada"
        assert change["ids"] == second.ids
        assert not {"phx_close", "phx_error"} & {frame.event for frame in raw.frames}


async def test_python_keeps_its_channel_through_the_rejoin_that_a_system_error_causes(
    stand: Stand, start: Starter
) -> None:
    driver = await start("py 1.0.0")
    await driver.connect(stand.url, ANON)
    await driver.tell(subscribing("room", on(), on("*", "sin_publicar")))
    await driver.until(lambda: driver.statuses("room").count(SUBSCRIBED) >= 2)
    stand.write("insert into llamada values (1)")
    changes = await driver.wait_changes("room", 1)
    assert changes[0].binding == 0
    assert "CLOSED" not in driver.statuses("room")


# 10. Closing


@pytest.mark.parametrize("kind", ["js 2.0.0", "js 1.0.0"])
async def test_leaving_closes_for_good(stand: Stand, start: Starter, kind: str) -> None:
    driver = await start(kind)
    await driver.connect(stand.url, ANON)
    await driver.subscribe("room", on())
    await driver.leave("room")
    await driver.until(lambda: driver.statuses("room")[-1] == "CLOSED")


async def test_python_may_leave_a_channel_and_make_it_anew_at_once(
    stand: Stand, start: Starter
) -> None:
    driver = await start("py 1.0.0")
    await driver.connect(stand.url, ANON)
    await driver.subscribe("keep", on("*", "cita"))
    await driver.subscribe("room", on())
    await driver.tell({"do": "leave", "channel": "room"}, subscribing("room", on()))
    await driver.until(lambda: len(driver.statuses("room")) > 1)
    assert driver.statuses("room") == [SUBSCRIBED, SUBSCRIBED]


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
async def test_leaving_is_answered_and_then_the_channel_is_closed(
    stand: Stand, version: str
) -> None:
    async with await RealtimeClient.connect(stand.url, ANON, version=version) as raw:
        channel = await raw.join("room", [LLAMADA])
        reply = await channel.leave()
        assert reply.payload["status"] == "ok"
        closed = await channel.wait(lambda frame: frame.event == "phx_close")
        assert closed.payload == {}


async def test_leaving_what_was_never_joined_is_answered_with_ok(stand: Stand) -> None:
    async with await RealtimeClient.connect(stand.url, ANON) as raw:
        reply = await raw.call("realtime:nowhere", "phx_leave", {}, join_ref="7")
        assert reply.payload["status"] == "ok"


# 11. A binding that is refused


async def test_a_refused_binding_is_named_and_the_channels_others_work(
    stand: Stand, start: Starter
) -> None:
    driver = await start("js 2.0.0")
    await driver.connect(stand.url, ANON)
    await driver.subscribe("room", on("*", "sin_publicar"), on(), on("*", filter="zz=eq.1"))
    table = await driver.wait_system("room", "not in publication")
    column = await driver.wait_system("room", "invalid column for filter zz")
    for system in (table, column):
        assert (system["status"], system["extension"]) == ("error", "postgres_changes")
        assert system["channel"] == "room"
    assert "table: sin_publicar" in table["message"]
    assert "filters: [zz=eq.1]" in column["message"]
    stand.write("insert into llamada values (1)")
    [change] = await driver.wait_changes("room", 1)
    assert change.binding == 1
    assert driver.statuses("room") == [SUBSCRIBED]


# 13. A first join without a token


async def test_a_join_without_a_token_listens_as_the_connections_key(
    stand: Stand, start: Starter
) -> None:
    driver = await start("js 2.0.0")
    # In one tick, as applications do: the token is known only after the join was sent.
    await driver.tell(driver.connecting(stand.url, ANON), subscribing("room", on()))
    await driver.subscribed("room")
    sent = [json.loads(event["sent"]) for event in driver.told("sent")]
    joins = [frame for frame in sent if frame[3] == "phx_join"]
    assert "access_token" not in joins[0][4]
    stand.write("insert into llamada values (1)")
    assert len(await driver.wait_changes("room", 1)) == 1


# 14. Heartbeats without a ref


async def test_a_heartbeat_without_a_ref_is_answered_without_one(stand: Stand) -> None:
    async with await RealtimeClient.connect(stand.url, ANON, version="1.0.0") as raw:
        await raw.send("phoenix", "heartbeat", {}, ref=None)
        reply = await raw.wait(lambda frame: frame.topic == "phoenix")
        assert reply.event == "phx_reply"
        assert reply.ref is None
        assert reply.payload == {"status": "ok", "response": {}}


# 15. Numbers


async def test_numbers_travel_with_all_their_digits(stand: Stand, start: Starter) -> None:
    script, snake = await start("js 2.0.0"), await start("py 1.0.0")
    for driver in (script, snake):
        await driver.connect(stand.url, ANON)
        await driver.subscribe("room", on())
    stand.write("insert into llamada values (9223372036854775807, null, 123456789012345678.50)")
    [change] = await snake.wait_changes("room", 1)
    assert change.new["id"] == 9223372036854775807
    await script.wait_changes("room", 1)
    received = [event["received"] for event in script.told("received")]
    [text] = [frame for frame in received if '"record"' in frame]
    assert "9223372036854775807" in text
    assert "123456789012345678.50" in text
