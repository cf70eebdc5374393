"""Broadcast, presence and private channels with the real clients, in every mixture of them."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from realtime_hub.ops import init, messages
from tests.compat.conftest import CLIENTS, Starter
from tests.compat.driver import SUBSCRIBED, Driver, subscribing
from tests.support.gateway import PUBLICATION
from tests.support.postgres import Server
from tests.support.stand import Stand, standing
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.node]

ANON = make_token("anon")
ANA, EVA = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
SERVICE = make_token("service_role")
PAIRS = list(zip(CLIENTS, (*CLIENTS[1:], CLIENTS[0]), strict=True))
"""Each kind once on either side; all at once talk and share a key below."""
JS = [kind for kind in CLIENTS if kind.startswith("js")]

TABLES = """
create table sala(id int primary key);
create table miembro(user_id uuid, topic text);
create table llamada(id int primary key, estado text);
grant select on miembro to authenticated;
"""
# As Supabase's documentation writes them: by the topic's name, and by membership.
POLICIES = """
create policy "read rooms" on realtime.messages for select to authenticated
  using ((select realtime.topic()) like 'room:%');
create policy "write rooms" on realtime.messages for insert to authenticated
  with check ((select realtime.topic()) like 'room:%');
create policy "read as a member" on realtime.messages for select to authenticated
  using (exists (select 1 from miembro where user_id = (select auth.uid())
                 and topic = (select realtime.topic())));
create policy "listen only" on realtime.messages for select to authenticated
  using (realtime.messages.extension = 'broadcast' and realtime.topic() = 'listen');
create function avisar() returns trigger security definer language plpgsql as $$ begin
  perform realtime.broadcast_changes('room:calls', tg_op, tg_op, tg_table_name, tg_table_schema,
    new, old);
  return null;
end $$;
create trigger avisar after insert or update or delete on llamada
  for each row execute function avisar();
"""


@pytest.fixture(scope="module")
def room_stand(postgres: Server) -> Iterator[Stand]:
    with standing(postgres, TABLES, "sala") as stand:
        asyncio.run(init.apply(stand.dsn, messages.plan(PUBLICATION)))
        stand.write(POLICIES)
        yield stand


@pytest.fixture
def stand(room_stand: Stand) -> Stand:
    room_stand.write("truncate realtime.messages, miembro, llamada")
    return room_stand


@pytest.fixture
def room(stand: Stand) -> str:
    """A topic of the test's own, open to all members."""
    return f"room:{next(stand.numbers)}"


def token(subject: str = ANA) -> str:
    return make_token("authenticated", subject)


def raw(size: int) -> dict[str, str]:
    return {"bytes": base64.b64encode(bytes(i % 256 for i in range(size))).decode()}


def sending(channel: str, payload: Any, event: str = "greeting") -> dict[str, Any]:
    return {"do": "send", "channel": channel, "event": event, "payload": payload}


def acknowledged(**more: Any) -> dict[str, Any]:
    return {"broadcast": {"ack": True, "self": False}, **more}


async def listening(
    start: Starter, kind: str, stand: Stand, channel: str, *, key: str = ANON, **more: Any
) -> Driver:
    """A client that has subscribed and hears the event `greeting`."""
    driver = await start(kind)
    await driver.connect(stand.url, key)
    await driver.tell(subscribing(channel, broadcast=["greeting"], **more))
    await driver.subscribed(channel)
    return driver


# Broadcast


async def test_clients_of_all_kinds_hear_one_another(
    stand: Stand, start: Starter, room: str
) -> None:
    drivers = [await listening(start, kind, stand, room) for kind in CLIENTS]
    for number, driver in enumerate(drivers):
        await driver.tell(sending(room, {"text": "hóla", "n": number + 0.5}))
    for number, driver in enumerate(drivers):
        heard = await driver.wait_broadcasts(room, 2)
        assert {message["event"] for message in heard} == {"greeting"}
        assert sorted(message["payload"]["n"] for message in heard) == [
            other + 0.5 for other in range(3) if other != number
        ]
        assert all(message["payload"]["text"] == "hóla" for message in heard)


async def test_with_self_each_hears_itself_too(stand: Stand, start: Starter, room: str) -> None:
    config = {"broadcast": {"self": True, "ack": False}}
    drivers = [
        await listening(start, kind, stand, room, config=config)
        for kind in ("js 2.0.0", "py 1.0.0")
    ]
    for number, driver in enumerate(drivers):
        await driver.tell(sending(room, {"n": number}))
    for driver in drivers:
        heard = await driver.wait_broadcasts(room, 2)
        assert sorted(message["payload"]["n"] for message in heard) == [0, 1]


@pytest.mark.parametrize("kind", JS)
async def test_an_acknowledged_send_is_ok_and_one_too_large_an_error(
    stand: Stand, start: Starter, room: str, kind: str
) -> None:
    driver = await listening(start, kind, stand, room, config=acknowledged())
    assert await driver.outcome(sending(room, {"n": 1})) == "ok"
    assert await driver.outcome(sending(room, {"x": "y" * 3_100_000})) == "error"
    assert await driver.outcome(sending(room, {"n": 2})) == "ok"


async def test_bytes_of_every_size_arrive_and_pass_version_1_by(
    stand: Stand, start: Starter, room: str
) -> None:
    speaking = await listening(start, "js 2.0.0", stand, room, config=acknowledged())
    hearing = await listening(start, "js 2.0.0", stand, room)
    old = [await listening(start, kind, stand, room) for kind in ("js 1.0.0", "py 1.0.0")]
    sizes = [0, 1, 255, 65_536]
    for size in sizes:
        assert await speaking.outcome(sending(room, raw(size))) == "ok"
    assert await speaking.outcome(sending(room, raw(3_000_501))) == "error"
    await speaking.tell(sending(room, {"after": True}))
    heard = [message["payload"] for message in await hearing.wait_broadcasts(room, 5)]
    assert heard == [*map(raw, sizes), {"after": True}]
    for driver in old:
        [message] = await driver.wait_broadcasts(room, 1)
        assert message["payload"] == {"after": True}


@pytest.mark.parametrize("kind", ["js 2.0.0", "py 1.0.0"])
async def test_http_send_reaches_the_room(
    stand: Stand, start: Starter, room: str, kind: str
) -> None:
    hearing = [await listening(start, each, stand, room) for each in CLIENTS]
    driver = await start(kind)
    await driver.connect(stand.url, ANON)
    message = {**sending(room, {"n": 1}), "do": "http_send"}
    assert await driver.outcome(message) == {"success": True}
    for ear in hearing:
        [heard] = await ear.wait_broadcasts(room, 1)
        assert heard["payload"] == {"n": 1}
    assert await driver.outcome({**message, "payload": raw(255)}) == {"success": True}
    heard = (await hearing[0].wait_broadcasts(room, 2))[1]
    assert heard["payload"] == raw(255)


async def test_supabase_js_sends_over_http_before_it_has_joined(
    stand: Stand, start: Starter, room: str
) -> None:
    hearing = await listening(start, "py 1.0.0", stand, room)
    driver = await start("js 2.0.0")
    await driver.connect(stand.url, ANON)
    outcome = await driver.outcome({**sending(room, {"n": 1}), "do": "send_unsubscribed"})
    assert outcome == "ok"
    [message] = await hearing.wait_broadcasts(room, 1)
    assert message["payload"] == {"n": 1}


async def test_http_send_to_a_private_room_needs_the_right(
    stand: Stand, start: Starter, room: str
) -> None:
    driver = await start("js 2.0.0")
    await driver.connect(stand.url, ANON)
    private = {"config": {"private": True}}
    denied = {**sending(room, {"n": 1}), "do": "http_send", **private}
    outcome = await driver.outcome(denied)
    assert outcome["success"] is False
    assert "Unauthorized" in outcome["error"]


# Presence


@pytest.mark.parametrize(("one", "two"), PAIRS)
async def test_clients_of_all_kinds_see_each_other_come_change_and_go(
    stand: Stand, start: Starter, room: str, one: str, two: str
) -> None:
    def keyed(key: str) -> dict[str, Any]:
        return {"presence": {"key": key, "enabled": True}}

    first = await listening(start, one, stand, room, presence=True, config=keyed("ana"))
    await first.tell({"do": "track", "channel": room, "payload": {"at": "desk"}})
    second = await listening(start, two, stand, room, presence=True, config=keyed("eva"))
    await second.wait_present(room, {"ana": [{"at": "desk"}]})
    await second.tell({"do": "track", "channel": room, "payload": {"at": "door"}})
    await first.wait_present(room, {"ana": [{"at": "desk"}], "eva": [{"at": "door"}]})
    await second.tell({"do": "track", "channel": room, "payload": {"at": "table"}})
    await first.wait_present(room, {"ana": [{"at": "desk"}], "eva": [{"at": "table"}]})
    await second.tell({"do": "untrack", "channel": room})
    await first.wait_present(room, {"ana": [{"at": "desk"}]})
    await second.wait_present(room, {"ana": [{"at": "desk"}]})
    await first.stop()
    await second.wait_present(room, {})


async def test_tabs_under_one_key_are_listed_together(
    stand: Stand, start: Starter, room: str
) -> None:
    config = {"presence": {"key": "ana", "enabled": True}}
    tabs = [
        await listening(start, kind, stand, room, presence=True, config=config) for kind in CLIENTS
    ]
    for number, tab in enumerate(tabs):
        await tab.tell({"do": "track", "channel": room, "payload": {"tab": number}})
    for tab in tabs:
        await tab.until(
            lambda tab=tab: (
                sorted(meta["tab"] for meta in tab.present(room).get("ana", [])) == [0, 1, 2]
            )
        )
    await tabs[2].stop()
    for tab in tabs[:2]:
        await tab.until(
            lambda tab=tab: sorted(meta["tab"] for meta in tab.present(room)["ana"]) == [0, 1]
        )


# Private channels


async def private(
    start: Starter, kind: str, stand: Stand, channel: str, subject: str = ANA, **config: Any
) -> Driver:
    """A client that joins a private channel with a user's token."""
    driver = await start(kind)
    await driver.connect(stand.url, ANON, token(subject))
    # supabase-js has its token only later, and would join as its key first.
    await driver.authorize(None if kind in JS else token(subject))
    chosen = {"config": {"private": True, **config}}
    await driver.tell(subscribing(channel, broadcast=["greeting", "INSERT"], **chosen))
    return driver


async def test_members_of_a_private_room_talk_and_others_stay_out(
    stand: Stand, start: Starter, room: str
) -> None:
    ana = await private(start, "js 2.0.0", stand, room)
    eva = await private(start, "py 1.0.0", stand, room, EVA)
    outside = await listening(start, "js 1.0.0", stand, room)
    for driver in (ana, eva):
        await driver.subscribed(room)
    for speaking, hearing in ((ana, eva), (eva, ana)):
        await speaking.tell(sending(room, {"n": 1}))
        [message] = await hearing.wait_broadcasts(room, 1)
        assert message["payload"] == {"n": 1}
    assert outside.broadcasts(room) == []


@pytest.mark.parametrize("kind", ["js 2.0.0", "py 1.0.0"])
async def test_a_join_without_the_right_to_read_is_an_error(
    stand: Stand, start: Starter, kind: str
) -> None:
    driver = await private(start, kind, stand, "secret")
    await driver.until(lambda: "CHANNEL_ERROR" in driver.statuses("secret"))
    stand.write(f"insert into miembro values ('{ANA}', 'secret')")
    await driver.subscribed("secret")


async def test_who_may_only_listen_speaks_to_nobody(stand: Stand, start: Starter) -> None:
    stand.write(f"insert into miembro values ('{EVA}', 'listen')")
    speaking = await private(start, "js 2.0.0", stand, "listen")
    hearing = await private(start, "js 2.0.0", stand, "listen", EVA)
    for driver in (speaking, hearing):
        await driver.subscribed("listen")
    await speaking.tell(sending("listen", {"n": 1}))
    stand.write("select realtime.send('{\"n\": 2}', 'greeting', 'listen')")
    [message] = await hearing.wait_broadcasts("listen", 1)
    assert message["payload"]["n"] == 2
    assert speaking.statuses("listen") == [SUBSCRIBED]


async def test_a_right_revoked_is_seen_when_the_token_is_refreshed(
    stand: Stand, start: Starter
) -> None:
    stand.write(f"insert into miembro values ('{ANA}', 'club')")
    driver = await private(start, "js 2.0.0", stand, "club")
    await driver.subscribed("club")
    stand.write("truncate miembro")
    await driver.authorize(make_token("authenticated", ANA, lifetime=7200))
    await driver.wait_system("club", "You no longer have permission to read")
    await driver.until(lambda: driver.statuses("club")[-1] == "CLOSED")


async def test_curl_broadcasts_too(stand: Stand, start: Starter, room: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    hearing = await listening(start, "js 2.0.0", stand, room)
    body = json.dumps({"messages": [{"topic": room, "event": "greeting", "payload": {"n": 1}}]})
    status = await asyncio.to_thread(
        subprocess.check_output,
        [
            *("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-d", body),
            *("-H", f"apikey: {ANON}", "-H", "Content-Type: application/json"),
            f"{stand.url}/realtime/v1/api/broadcast",
        ],
    )
    assert status == b"202"
    [message] = await hearing.wait_broadcasts(room, 1)
    assert message["payload"] == {"n": 1}


# From the database


@pytest.mark.parametrize("kind", CLIENTS)
async def test_what_the_database_sends_reaches_public_and_private_rooms(
    stand: Stand, start: Starter, room: str, kind: str
) -> None:
    public = await listening(start, kind, stand, room)
    member = await private(start, kind, stand, room)
    await member.subscribed(room)
    for value, flag in (("1", "false"), ("2", "true")):
        stand.write(f"select realtime.send('{{\"n\": {value}}}', 'greeting', '{room}', {flag})")
    [open_message] = await public.wait_broadcasts(room, 1)
    [closed] = await member.wait_broadcasts(room, 1)
    assert (open_message["payload"]["n"], closed["payload"]["n"]) == (1, 2)
    assert closed["payload"]["id"] == closed["meta"]["id"]


async def test_a_trigger_broadcasts_its_table_s_changes(stand: Stand, start: Starter) -> None:
    driver = await private(start, "js 2.0.0", stand, "room:calls")
    await driver.subscribed("room:calls")
    stand.write("insert into llamada values (1, 'activa')")
    [message] = await driver.wait_broadcasts("room:calls", 1)
    payload = message["payload"]
    assert message["event"] == payload["operation"] == "INSERT"
    assert (payload["table"], payload["schema"]) == ("llamada", "public")
    assert payload["record"] == {"id": 1, "estado": "activa"}
    assert payload["old_record"] is None


async def test_bytes_from_the_database_arrive_as_bytes(
    stand: Stand, start: Starter, room: str
) -> None:
    driver = await listening(start, "js 2.0.0", stand, room)
    stand.write(rf"select realtime.send_binary('\x000102', 'greeting', '{room}', false)")
    [message] = await driver.wait_broadcasts(room, 1)
    assert message["payload"] == raw(3)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_replay_comes_with_the_join_and_what_follows_is_live(
    stand: Stand, start: Starter, room: str, kind: str
) -> None:
    for number in range(4):
        stand.write(f"select realtime.send('{{\"n\": {number}}}', 'greeting', '{room}')")
    replay = {"broadcast": {"replay": {"since": 0, "limit": 3}}}
    driver = await private(start, kind, stand, room, **replay)
    heard = await driver.wait_broadcasts(room, 3)
    assert [message["payload"]["n"] for message in heard] == [1, 2, 3]
    assert all(message["meta"]["replayed"] for message in heard)
    stand.write(f"select realtime.send('{{\"n\": 4}}', 'greeting', '{room}')")
    last = (await driver.wait_broadcasts(room, 4))[-1]
    assert (last["payload"]["n"], "replayed" in last["meta"]) == (4, False)


async def test_one_slot_serves_changes_and_broadcasts(stand: Stand) -> None:
    with psycopg.connect(stand.dsn) as conn:
        found = conn.execute(
            "select count(*) from pg_replication_slots where database = current_database()"
        ).fetchone()
    assert found == (1,)


async def test_who_asks_is_told_that_the_database_s_broadcasts_come(
    stand: Stand, start: Starter, room: str
) -> None:
    driver = await listening(
        start, "js 2.0.0", stand, room, config={"broadcast": {"replication_ready": True}}
    )
    await driver.wait_system(room, "Replication connection established")
