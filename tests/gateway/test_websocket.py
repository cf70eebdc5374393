"""The gateway over real sockets, with the real hub behind it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from realtime_hub.errors import SnapshotError
from realtime_hub.gateway.limits import CloseCode, GatewaySettings
from realtime_hub.hub.listeners import Gap
from realtime_hub.hub.ports import SourceState
from tests.gateway.parts import CITAS, LLAMADAS, OTRA, Stand, standing
from tests.support.client import PATHS, RealtimeClient
from tests.support.waiting import until

BOTH = pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with standing() as stand:
        yield stand


@pytest.fixture
async def client(stand: Stand) -> AsyncIterator[RealtimeClient]:
    async with await RealtimeClient.connect(stand.url, "anon") as client:
        yield client


# Changes


@BOTH
@pytest.mark.parametrize("path", PATHS)
async def test_a_change_reaches_a_client_of_either_version_on_either_path(
    stand: Stand, version: str, path: str
) -> None:
    async with await RealtimeClient.connect(stand.url, "anon", version=version, path=path) as raw:
        channel = await raw.join("room", [LLAMADAS])
        stand.insert(1, 2, "x")
        [change] = await channel.wait_changes(1)
        assert change["ids"] == channel.ids
        assert change["data"]["record"] == {"id": 1, "n": 2, "t": "x"}


async def test_both_versions_share_a_topic(stand: Stand) -> None:
    async with (
        await RealtimeClient.connect(stand.url, "anon", version="1.0.0") as old,
        await RealtimeClient.connect(stand.url, "anon", version="2.0.0") as new,
    ):
        channels = [await raw.join("room", [LLAMADAS]) for raw in (old, new)]
        stand.insert(1, 2, "x")
        assert await channels[0].wait_changes(1) == await channels[1].wait_changes(1)


async def test_clients_of_one_topic_get_the_very_same_bytes_in_one_write_each(
    stand: Stand,
) -> None:
    clients = [await RealtimeClient.connect(stand.url, "anon") for _ in range(3)]
    channels = [await raw.join("room", [LLAMADAS]) for raw in clients]
    for channel in channels:
        await channel.wait_system("ok")
    before = stand.metrics.outbox.writes
    for number in range(20):
        stand.insert(number, 0, "x")
    received = [await channel.wait_changes(20) for channel in channels]
    assert stand.metrics.outbox.writes - before == 3
    assert received[0] == received[1] == received[2]
    assert [change["data"]["record"]["id"] for change in received[0]] == list(range(20))
    assert stand.metrics.latency.count == 20
    for raw in clients:
        await raw.close()


async def test_the_join_reply_comes_before_any_change(stand: Stand, client: RealtimeClient) -> None:
    for number in range(10):
        join = asyncio.create_task(client.join(f"room{number}", [LLAMADAS]))
        while not join.done():
            stand.insert(number, 0, "x")
            await asyncio.sleep(0)
        channel = join.result()
        assert channel.frames[0].event == "phx_reply"


async def test_a_client_older_than_protocol_v2_gets_events_named_by_their_kind(
    stand: Stand,
) -> None:
    async with await RealtimeClient.connect(stand.url, "anon", version=None) as raw:
        topic = "realtime:public:llamadas:n=eq.2"
        reply = await raw.call(topic, "phx_join", {}, join_ref="1")
        assert reply.payload["status"] == "ok"
        stand.insert(1, 1, "x")
        stand.insert(2, 2, "x")
        frame = await raw.wait(lambda f: f.event == "INSERT")
        assert frame.payload["record"]["id"] == 2


async def test_a_gap_is_said_in_a_frame_that_makes_nobody_join_again(
    stand: Stand, client: RealtimeClient
) -> None:
    channel = await client.join("room", [LLAMADAS])
    [subscriber] = stand.registry.subscribers_of(next(iter(stand.catalog.tables)))
    subscriber.announce(Gap("SlotLost", "WAL was removed"))
    system = await channel.wait_system("ok", "Gap: ")
    assert system["message"] == "Gap: SlotLost: WAL was removed"
    assert stand.metrics.gaps == 1


# Joining again


@BOTH
async def test_a_second_join_replaces_the_first_without_a_word(stand: Stand, version: str) -> None:
    async with await RealtimeClient.connect(stand.url, "anon", version=version) as raw:
        await raw.join("room", [CITAS])
        second = await raw.join("room", [LLAMADAS])
        stand.insert(1, 0, "x", table="citas")
        stand.insert(2, 0, "x")
        [change] = await second.wait_changes(1)
        assert (change["data"]["table"], change["ids"]) == ("llamadas", second.ids)
        assert not {"phx_close", "phx_error"} & {frame.event for frame in raw.frames}


async def test_nothing_is_lost_while_a_channel_is_joined_again(
    stand: Stand, client: RealtimeClient
) -> None:
    await client.join("room", [LLAMADAS])
    stand.catalog.open.clear()
    asked = stand.catalog.asked
    again = asyncio.create_task(client.join("room", [LLAMADAS]))
    await until(lambda: stand.catalog.asked > asked)
    stand.insert(1, 0, "x")
    stand.catalog.open.set()
    channel = await again
    stand.insert(2, 0, "x")
    changes = await channel.wait_changes(2)
    assert [change["data"]["record"]["id"] for change in changes] == [1, 2]


async def test_nothing_of_one_identity_follows_the_join_of_another(
    stand: Stand, client: RealtimeClient
) -> None:
    await client.join("room", [LLAMADAS], access_token="authenticated/ana")
    stand.catalog.open.clear()
    asked = stand.catalog.asked
    again = asyncio.create_task(client.join("room", [LLAMADAS], access_token="authenticated/eva"))
    await until(lambda: stand.catalog.asked > asked)
    stand.insert(1, 0, "x")
    stand.catalog.open.set()
    channel = await again
    stand.insert(2, 0, "x")
    changes = await channel.wait_changes(1)
    assert [change["data"]["record"]["id"] for change in changes] == [2]


async def test_what_is_held_for_too_long_becomes_a_gap_after_the_reply() -> None:
    async with (
        standing(GatewaySettings(max_queued_bytes=20_000)) as stand,
        await RealtimeClient.connect(stand.url, "anon") as client,
    ):
        await client.join("room", [LLAMADAS])
        stand.catalog.open.clear()
        asked = stand.catalog.asked
        again = asyncio.create_task(client.join("room", [LLAMADAS]))
        await until(lambda: stand.catalog.asked > asked)
        for number in range(10):
            stand.insert(number, 0, "x" * 5_000)
        stand.catalog.open.set()
        channel = await again
        assert "JoinOverdue" in (await channel.wait_system("ok", "Gap: "))["message"]


async def test_a_join_that_waits_holds_up_neither_other_channels_nor_heartbeats(
    stand: Stand, client: RealtimeClient
) -> None:
    stand.catalog.open.clear()
    slow = asyncio.create_task(client.join("slow", [LLAMADAS]))
    await until(lambda: stand.catalog.asked > 0)
    assert (await client.heartbeat()).payload["status"] == "ok"
    assert (await client.join("quick")).joined
    assert not slow.done()
    stand.catalog.open.set()
    assert (await slow).joined


async def test_joining_and_leaving_in_a_storm_ends_in_the_last_state(
    stand: Stand, client: RealtimeClient
) -> None:
    topic, config = "realtime:room", {"config": {"postgres_changes": [LLAMADAS]}}
    for number in range(50):
        ref = str(1000 + number)
        await client.send(topic, "phx_join", config, join_ref=ref, ref=ref)
        await client.send(topic, "phx_leave", {}, join_ref=ref)
    channel = await client.join("room", [LLAMADAS])
    assert len(stand.registry) == 1
    stand.insert(1, 0, "x")
    assert len(await channel.wait_changes(1)) == 1


# Refusals


async def test_a_refused_binding_is_named_and_the_channels_others_work(
    stand: Stand, client: RealtimeClient
) -> None:
    channel = await client.join("room", [OTRA, {**LLAMADAS, "filter": None}, LLAMADAS])
    assert len(channel.ids) == 3
    await channel.wait_system("error", "table: otra")
    await channel.wait_system("error", "filter must be a string")
    stand.insert(1, 0, "x")
    [change] = await channel.wait_changes(1)
    assert change["ids"] == [channel.ids[2]]
    assert stand.metrics.refusals == {"TableNotPublished": 1, "InvalidFilter": 1}


async def test_a_join_while_the_database_is_away_is_refused_for_now(
    stand: Stand, client: RealtimeClient
) -> None:
    stand.catalog.away = True
    channel = await client.join("room", [LLAMADAS])
    assert channel.reason.startswith("UnableToConnectToProject: ")
    assert "10.0.0.1" not in channel.reason
    stand.catalog.away = False
    assert (await client.join("room", [LLAMADAS])).joined
    assert stand.metrics.joins == {"UnableToConnectToProject": 1, "ok": 1}


async def test_a_join_that_breaks_is_refused_and_the_connection_lives(
    stand: Stand, client: RealtimeClient
) -> None:
    stand.catalog.broken = True
    channel = await client.join("room", [LLAMADAS])
    assert channel.reason.startswith("UnableToConnectToProject: ")
    stand.catalog.broken = False
    assert (await client.join("room", [LLAMADAS])).joined


async def test_a_malformed_frame_is_dropped_and_the_connection_stays(
    stand: Stand, client: RealtimeClient
) -> None:
    await client.socket.send_str("[" * 10_000)
    await client.socket.send_bytes(b"\x03")
    assert (await client.heartbeat()).payload["status"] == "ok"
    assert stand.metrics.frames_malformed == 2


# Tokens


async def test_a_newer_token_changes_what_is_seen(stand: Stand, client: RealtimeClient) -> None:
    channel = await client.join("room", [LLAMADAS], access_token="authenticated/ana")
    await channel.wait_system("ok")
    await channel.push("access_token", {"access_token": "authenticated/eva"})
    await client.until(lambda: len(channel.systems) == 2)
    [subscriber] = stand.registry.subscribers_of(next(iter(stand.catalog.tables)))
    assert subscriber.identity.subject == "eva"


async def test_a_bad_token_pushed_later_ends_that_channel_alone(
    stand: Stand, client: RealtimeClient
) -> None:
    doomed, other = await client.join("doomed", [LLAMADAS]), await client.join("other", [LLAMADAS])
    await doomed.push("access_token", {"access_token": "nobody"})
    await doomed.wait_system("error", "not a valid JWT")
    await doomed.wait(lambda frame: frame.event == "phx_close")
    stand.insert(1, 0, "x")
    assert len(await other.wait_changes(1)) == 1
    assert doomed.changes == []


async def test_a_channel_whose_bindings_can_not_be_checked_again_is_asked_to_join_again(
    stand: Stand, client: RealtimeClient
) -> None:
    channel = await client.join("room", [LLAMADAS])
    stand.catalog.away = True
    await channel.push("access_token", {"access_token": "authenticated/ana"})
    error = await channel.wait(lambda frame: frame.event == "phx_error")
    assert error.payload["reason"].startswith("UnableToConnectToProject: ")
    assert len(stand.registry) == 0


async def test_a_channel_ends_in_words_when_its_token_expires(
    stand: Stand, client: RealtimeClient
) -> None:
    lasting = await client.join("lasting", [LLAMADAS])
    brief = await client.join("brief", [LLAMADAS], access_token=f"anon/x/{time.time() + 0.2}")
    await brief.wait_system("error", "Token has expired")
    await brief.wait(lambda frame: frame.event == "phx_close")
    assert [f.event for f in lasting.frames] == ["phx_reply", "system"]
    assert len(stand.registry) == 1


async def test_a_join_after_the_connections_token_expired_is_refused(stand: Stand) -> None:
    token = f"anon/x/{time.time() + 0.2}"
    async with await RealtimeClient.connect(stand.url, token) as client:
        await asyncio.sleep(0.25)
        channel = await client.join("room", [LLAMADAS])
        assert channel.reason.startswith("InvalidJWTToken: Token has expired")


async def test_channels_that_share_a_token_have_it_verified_once(
    stand: Stand, client: RealtimeClient
) -> None:
    for number in range(5):
        await client.join(f"room{number}", access_token="authenticated/ana")
    assert stand.tokens.asked == ["anon", "authenticated/ana"]


# Handshake


@pytest.mark.parametrize(
    ("query", "headers", "status", "error"),
    [
        ({}, {}, 401, "API key is missing"),
        ({"apikey": ""}, {}, 401, "API key is missing"),
        ({"apikey": "nobody"}, {}, 401, "The token provided is not a valid JWT"),
        ({"apikey": "anon/x/1"}, {}, 401, "Token has expired"),
        ({"apikey": "anon"}, {"x-api-key": "nobody"}, 401, "The token provided is not a valid JWT"),
        ({"apikey": "anon", "vsn": "3.0.0"}, {}, 403, "Unsupported vsn, expected 1.0.0 or 2.0.0"),
        ({"apikey": "anon", "vsn": ""}, {}, 403, "Unsupported vsn, expected 1.0.0 or 2.0.0"),
        ({"apikey": "anon"}, {"Upgrade": "h2c"}, 426, "Expected a WebSocket handshake"),
    ],
)
async def test_a_handshake_is_refused_in_words(
    stand: Stand, query: dict[str, str], headers: dict[str, str], status: int, error: str
) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", **headers}
    async with (
        aiohttp.ClientSession() as http,
        http.get(stand.url + PATHS[0], params=query, headers=headers) as answer,
    ):
        assert answer.status == status
        assert await answer.json() == {"error": error}


async def test_a_header_key_counts_before_the_one_in_the_address(stand: Stand) -> None:
    headers = {"x-api-key": "service_role"}
    async with await RealtimeClient.connect(stand.url, "anon", headers=headers):
        assert stand.tokens.asked == ["service_role"]


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        (None, True),
        ("https://app.example.com", True),
        ("", False),
        ("null", False),
        ("https://app.example.com.evil.example", False),
        ("http://app.example.com", False),
    ],
)
async def test_only_allowed_origins_may_connect(origin: str | None, accepted: bool) -> None:
    settings = GatewaySettings(allowed_origins=frozenset({"https://app.example.com"}))
    headers = {} if origin is None else {"Origin": origin}
    async with standing(settings) as stand:
        if accepted:
            async with await RealtimeClient.connect(stand.url, "anon", headers=headers) as raw:
                assert (await raw.heartbeat()).payload["status"] == "ok"
            return
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await RealtimeClient.connect(stand.url, "anon", headers=headers)
        assert refusal.value.status == 403


async def test_more_connections_than_allowed_are_refused_until_one_leaves() -> None:
    async with standing(GatewaySettings(max_connections=1)) as stand:
        async with await RealtimeClient.connect(stand.url, "anon"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await RealtimeClient.connect(stand.url, "anon")
            assert refusal.value.status == 429
        await until(lambda: stand.gateway.snapshot().connections == 0)
        async with await RealtimeClient.connect(stand.url, "anon"):
            assert stand.metrics.handshakes == {"101": 2, "429": 1}


# Snapshots


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SnapshotError("the role may not"), "the role may not"),
        (TimeoutError(), "the rows were read too slowly"),
        (LookupError("unforeseen"), "the rows could not be read"),
    ],
)
async def test_a_snapshot_that_fails_is_a_gap_and_what_follows_comes(
    stand: Stand, error: Exception, reason: str
) -> None:
    stand.snapshots.error = error
    async with await RealtimeClient.connect(stand.url, "anon") as raw:
        channel = await raw.join("room", [{**LLAMADAS, "snapshot": True}])
        said = await channel.wait_system("ok", "Gap: ")
        assert reason in said["message"]
        stand.insert(1, 0, "x")
        assert [c["data"]["record"]["id"] for c in await channel.wait_changes(1)] == [1]


# The end of a connection


async def test_a_client_that_goes_away_leaves_every_channel(stand: Stand) -> None:
    raw = await RealtimeClient.connect(stand.url, "anon")
    await raw.join("a", [LLAMADAS])
    await raw.join("b", [CITAS])
    stand.catalog.open.clear()
    await raw.send("realtime:c", "phx_join", {"config": {"postgres_changes": [LLAMADAS]}})
    await until(lambda: stand.gateway.snapshot().channels == 3)
    assert raw.socket._response.connection is not None
    raw.socket._response.connection.transport.abort()
    await until(lambda: stand.gateway.snapshot().connections == 0)
    assert len(stand.registry) == 0
    stand.catalog.open.set()
    await asyncio.sleep(0.01)
    assert len(stand.registry) == 0
    await raw.close()


async def test_a_client_that_says_nothing_for_too_long_is_closed() -> None:
    async with (
        standing(GatewaySettings(idle_timeout=0.2)) as stand,
        await RealtimeClient.connect(stand.url, "anon") as raw,
    ):
        assert await raw.wait_closed() == CloseCode.IDLE


async def test_pings_are_answered_and_count_as_life() -> None:
    async with (
        standing(GatewaySettings(idle_timeout=0.4)) as stand,
        await RealtimeClient.connect(stand.url, "anon") as raw,
    ):
        for _ in range(10):
            await raw.socket.ping(b"x")
            await asyncio.sleep(0.08)
        assert not raw.closed


async def test_a_connection_that_asks_for_nothing_is_cut_off() -> None:
    async with standing(GatewaySettings(handshake_timeout=0.1)) as stand:
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        writer.write(b"GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_frame_over_the_limit_ends_its_connection() -> None:
    async with (
        standing(GatewaySettings(max_frame_bytes=1_000)) as stand,
        await RealtimeClient.connect(stand.url, "anon") as raw,
    ):
        await raw.socket.send_str("x" * 2_000)
        assert await raw.wait_closed() == 1009


async def test_a_slow_client_is_told_to_come_back_and_others_get_everything() -> None:
    settings = GatewaySettings(max_queued_bytes=200_000, close_timeout=0.5)
    async with standing(settings) as stand:
        slow = await aiohttp.ClientSession().__aenter__()
        socket = await slow.ws_connect(
            f"{stand.url}{PATHS[0]}?apikey=anon&vsn=2.0.0", max_msg_size=0
        )
        config = {"config": {"postgres_changes": [LLAMADAS]}}
        await socket.send_str(json.dumps(["1", "1", "realtime:room", "phx_join", config]))
        async with await RealtimeClient.connect(stand.url, "anon") as quick:
            channel = await quick.join("room", [LLAMADAS])
            await until(lambda: len(stand.registry) == 2)
            sent = 0
            while stand.metrics.outbox.slow_closes == 0:
                assert sent < 2_000
                stand.insert(sent, 0, "x" * 50_000)
                sent += 1
                await channel.wait_changes(sent)
            await until(lambda: stand.gateway.snapshot().connections == 1)
            assert len(stand.registry) == 1
            stand.insert(sent, 0, "x")
            await channel.wait_changes(sent + 1)
            assert stand.metrics.outbox.slow_closes == 1
        await socket.close()
        await slow.close()


async def test_stopping_tells_every_channel_and_every_client_comes_back_later() -> None:
    async with standing() as stand:
        raw = await RealtimeClient.connect(stand.url, "anon")
        channel = await raw.join("room", [LLAMADAS])
        stand.insert(1, 0, "x")
        await stand.gateway.stop()
        assert await raw.wait_closed() == CloseCode.SERVICE_RESTART
        assert len(channel.changes) == 1
        assert channel.systems[-1]["message"] == "Server requested disconnect"
        with pytest.raises(aiohttp.ClientConnectorError):
            await RealtimeClient.connect(stand.url, "anon")
        await raw.close()


# Plain HTTP


async def get(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_health_does_not_depend_on_the_source_and_readiness_does(stand: Stand) -> None:
    assert (await get(f"{stand.url}/healthz"))[0] == 200
    assert (await get(f"{stand.url}/readyz"))[0] == 200
    stand.state = SourceState.CONNECTING
    assert (await get(f"{stand.url}/healthz"))[0] == 200
    status, body = await get(f"{stand.url}/readyz")
    assert status == 503
    assert json.loads(body) == {"ready": False, "source": "connecting"}


async def test_metrics_show_what_is_going_on(stand: Stand, client: RealtimeClient) -> None:
    channel = await client.join("room", [LLAMADAS])
    stand.insert(1, 0, "x")
    await channel.wait_changes(1)
    status, text = await get(f"{stand.url}/metrics")
    lines = text.splitlines()
    assert status == 200
    assert "realtime_hub_gateway_connections 1.0" in lines
    assert "realtime_hub_gateway_channels 1.0" in lines
    assert "realtime_hub_gateway_frames_sent_total 3.0" in lines
    assert 'realtime_hub_gateway_joins_total{code="ok"} 1.0' in lines
    assert "realtime_hub_gateway_commit_to_send_seconds_count 1.0" in lines


async def test_statistics_are_for_the_service_role(stand: Stand, client: RealtimeClient) -> None:
    await client.join("room", [LLAMADAS])
    url = f"{stand.url}/realtime/v1/api/stats"
    assert (await get(url))[0] == 401
    assert (await get(url, Authorization="Bearer nobody"))[0] == 401
    assert (await get(url, Authorization="Bearer anon"))[0] == 403
    status, body = await get(url, Authorization="Bearer service_role")
    stats = json.loads(body)
    assert status == 200
    assert (stats["connections"], stats["channels"], stats["source"]) == (1, 1, "streaming")
    assert stats["listeners"] == {"public.llamadas": 1}
    assert stats["gateway"]["joins"] == 1
    assert (await get(f"{stand.url}/api/stats", apikey="service_role"))[0] == 200


async def test_a_page_can_be_added() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with standing(routes=(web.get("/", page),)) as stand:
        assert await get(stand.url) == (200, "hello")
