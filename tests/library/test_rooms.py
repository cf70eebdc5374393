"""The library's rooms: broadcast and presence on the hub's connection, to a real gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import psycopg
import pytest
from realtime import AsyncRealtimeClient

from realtime_hub import RealtimeHub
from realtime_hub.errors import HubMisusedError, TokenError, UpstreamError
from realtime_hub.ops import init, messages
from tests.library.worlds import QUICK
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.tokens import make_token
from tests.support.waiting import until

pytestmark = [
    pytest.mark.postgres,
    # The official client asks websockets for what that has deprecated.
    pytest.mark.filterwarnings("ignore:ConnectionClosed.(code|reason):DeprecationWarning"),
]

Hubs = Callable[..., RealtimeHub]


@pytest.fixture
async def url(database: str) -> AsyncIterator[str]:
    await init.apply(database, [*init.plan(PUBLICATION), *messages.plan(PUBLICATION)])
    limits = {"max_presence_calls": 100, "max_broadcast_bytes": 2_000}
    async with serving(database, **limits) as url:
        yield f"{url}/realtime/v1".replace("http", "ws")


@pytest.fixture(params=["own", "borrowed"])
async def hubs(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Hubs]:
    """Makes hubs on connections of their own, or on those of existing clients."""
    async with AsyncExitStack() as stack:

        def make(role: str = "anon") -> RealtimeHub:
            key = make_token(role)
            if request.param == "own":
                hub = RealtimeHub.from_url(url, api_key=key, timing=QUICK)
            else:
                client = AsyncRealtimeClient(url, key)
                stack.push_async_callback(client.close)
                hub = RealtimeHub.from_client(client, timing=QUICK)
            stack.push_async_callback(hub.cleanup)
            return hub

        yield make


def names(room: Any) -> dict[str, list[str]]:
    return {key: [meta["name"] for meta in metas] for key, metas in room.presence_state().items()}


async def test_what_one_says_the_other_hears_by_its_event(hubs: Hubs) -> None:
    speaking = await hubs().channel("room:1")
    hearing = await hubs().channel("room:1")
    cursors: list[Any] = []
    everything: list[Any] = []
    end = hearing.on_broadcast("cursor", cursors.append)
    hearing.on_broadcast("*", everything.append)
    await speaking.broadcast("cursor", {"x": 1})
    await speaking.broadcast("other", {"y": 2})
    await until(lambda: len(everything) == 2)
    assert (cursors, everything) == ([{"x": 1}], [{"x": 1}, {"y": 2}])
    end()
    await speaking.broadcast("cursor", {"x": 3})
    await until(lambda: len(everything) == 3)
    assert cursors == [{"x": 1}]


async def test_one_hears_oneself_only_if_asked(hubs: Hubs) -> None:
    hub = hubs()
    heard: list[Any] = []
    loud = await hub.channel("loud", own=True)
    quiet = await hub.channel("quiet")
    for room in (quiet, loud):
        room.on_broadcast("e", heard.append)
        await room.broadcast("e", {"topic": room.topic})
    await until(lambda: bool(heard))
    assert heard == [{"topic": "loud"}]


async def test_with_ack_a_broadcast_returns_when_the_server_has_taken_it(hubs: Hubs) -> None:
    room = await hubs().channel("room", ack=True)
    await room.broadcast("e", {"n": 1})
    with pytest.raises(UpstreamError, match="payload_size_exceeded"):
        await room.broadcast("e", {"x": "y" * 3_000})


async def test_members_see_each_other_come_change_and_go(hubs: Hubs) -> None:
    ana, eva = await hubs().channel("r", key="ana"), await hubs().channel("r", key="eva")
    changes: list[int] = []
    eva.on_presence(lambda: changes.append(len(eva.presence_state())))
    await ana.track({"name": "Ana"})
    await eva.track({"name": "Eva"})
    await until(lambda: names(ana) == names(eva) == {"ana": ["Ana"], "eva": ["Eva"]})
    await ana.track({"name": "Ana María"})
    await until(lambda: names(eva).get("ana") == ["Ana María"])
    await ana.untrack()
    await until(lambda: "ana" not in names(eva))
    await eva.leave()
    await until(lambda: names(ana) == {})
    assert changes


async def test_changes_and_rooms_share_one_connection(hubs: Hubs, url: str, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("create table calls(id int primary key)")
        await conn.execute("grant select on calls to anon")
        await conn.execute("alter publication supabase_realtime add table calls")
        hub = hubs()
        got: list[Any] = []
        await hub.subscribe("calls", "INSERT", got.append)
        await hub.channel("room")
        await conn.execute("insert into calls values (1)")
        await until(lambda: len(got) == 1)
    http = url.replace("ws://", "http://").removesuffix("/realtime/v1")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{http}/metrics") as answer,
    ):
        assert "realtime_hub_gateway_connections 1.0" in await answer.text()


async def test_a_lost_connection_is_joined_again_and_presence_made_good(
    database: str, unused_tcp_port: int
) -> None:
    await init.apply(database, init.plan(PUBLICATION))
    address = f"ws://127.0.0.1:{unused_tcp_port}/realtime/v1"
    key = make_token("anon")
    async with AsyncExitStack() as stack:
        rooms = []
        async with serving(database, port=unused_tcp_port):
            for name in ("ana", "eva"):
                hub = RealtimeHub.from_url(address, api_key=key, timing=QUICK)
                stack.push_async_callback(hub.cleanup)
                rooms.append(await hub.channel("room", key=name))
                await rooms[-1].track({"name": name})
            both = {"ana": ["ana"], "eva": ["eva"]}
            await until(lambda: all(names(room) == both for room in rooms))
        await until(lambda: not any(room.joined for room in rooms))
        assert names(rooms[0]) == {}
        heard: list[Any] = []
        rooms[1].on_broadcast("e", heard.append)
        async with serving(database, port=unused_tcp_port):
            await rooms[0].broadcast("e", {"back": True})
            await until(lambda: all(names(room) == both for room in rooms))
            await rooms[0].broadcast("e", {"back": True})
            await until(lambda: {"back": True} in heard)
            for room in rooms:
                await room.leave()


async def test_a_private_room_that_may_not_be_read_is_refused_until_the_token_changes(
    url: str, database: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute(
            "create policy p on realtime.messages for select to authenticated using (true)"
        )
    errors: list[Exception] = []
    async with RealtimeHub.from_url(url, api_key=make_token("anon"), timing=QUICK) as hub:
        hub.on_error(lambda error, change: errors.append(error))
        room = hub.channel("secret", private=True)
        with pytest.raises(TokenError, match="Unauthorized"):
            await room
        assert len(errors) == 1
        await hub.set_auth(make_token("authenticated"))
        assert (await room).joined


async def test_asking_again_gives_the_same_room_until_it_is_left(hubs: Hubs) -> None:
    hub = hubs()
    room = await hub.channel("room")
    assert hub.channel("room") is room
    with pytest.raises(HubMisusedError, match="other options"):
        hub.channel("room", private=True)
    await room.leave()
    with pytest.raises(HubMisusedError, match="left"):
        await room.broadcast("e", {})
    again = await hub.channel("room", ack=True)
    assert again is not room


async def test_a_callback_that_raises_harms_no_other(hubs: Hubs) -> None:
    hub = hubs()
    errors: list[Exception] = []
    heard: list[Any] = []
    hub.on_error(lambda error, change: errors.append(error))
    room = await hub.channel("room", own=True)

    def broken(payload: Any) -> None:
        raise ZeroDivisionError

    room.on_broadcast("e", broken)
    room.on_broadcast("e", heard.append)
    await room.broadcast("e", {"n": 1})
    await until(lambda: heard == [{"n": 1}])
    assert [type(error) for error in errors] == [ZeroDivisionError]


async def test_cleaning_up_leaves_every_room_and_no_task(hubs: Hubs) -> None:
    hub, other = hubs(), await hubs().channel("room", key="other")
    room = await hub.channel("room", key="gone")
    await room.track({"name": "gone"})
    await until(lambda: "gone" in names(other))
    await hub.cleanup()
    await until(lambda: "gone" not in names(other))
    assert not [task for task in asyncio.all_tasks() if task.get_name().endswith("room room")][1:]


async def test_a_database_has_no_rooms(database: str) -> None:
    async with RealtimeHub.from_url(database) as hub:
        with pytest.raises(HubMisusedError, match="not a database"):
            hub.channel("room")
