"""Broadcasts between clients of both versions, and the limits of rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from realtime_hub.gateway.limits import GatewaySettings
from realtime_hub.hub.ports import SourceState
from tests.gateway.parts import Stand, standing
from tests.gateway.talking import (
    ANA,
    ENABLED,
    EVA,
    PAIRS,
    VERSIONS,
    Connecting,
    acked,
    heard,
    hears,
    quiet,
    reply_to,
    say,
    track,
)
from tests.support.client import Channel, Frame, RealtimeClient
from tests.support.waiting import until


@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
async def test_a_broadcast_reaches_the_others_of_both_versions(
    connect: Connecting, sender: str, receiver: str
) -> None:
    speaking = await (await connect(sender)).join("room")
    hearing = await (await connect(receiver)).join("room")
    await say(speaking, {"text": "hóla", "n": 9007199254740993})
    [payload] = await hears(hearing, 1)
    assert payload == {"text": "hóla", "n": 9007199254740993}
    frame = next(frame for frame in hearing.frames if frame.event == "broadcast")
    assert (frame.payload["type"], frame.payload["event"], frame.ref) == ("broadcast", "e", None)
    await quiet(speaking)
    assert heard(speaking) == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_with_self_the_sender_hears_itself(connect: Connecting, version: str) -> None:
    channel = await (await connect(version)).join("room", **acked(own=True))
    await say(channel, {"n": 1})
    assert await hears(channel, 1) == [{"n": 1}]


async def test_two_channels_of_one_connection_are_two_members(connect: Connecting) -> None:
    client, other = await connect(), await connect()
    speaking, elsewhere = await client.join("room"), await other.join("room2")
    hearing = await other.join("room")
    await say(speaking, {"n": 1})
    await hears(hearing, 1)
    assert (heard(speaking), heard(elsewhere)) == ([], [])


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_ack_comes_if_it_was_asked_for(connect: Connecting, version: str) -> None:
    client = await connect(version)
    loud, silent = await client.join("loud", **acked()), await client.join("silent")
    await say(silent, {}, ref="901")
    await say(loud, {}, ref="902")
    reply = await reply_to(loud, "902")
    assert reply.payload == {"status": "ok", "response": {}}
    assert not [frame for frame in silent.frames if frame.ref == "901"]


@pytest.mark.parametrize("size", [0, 1, 255, 65_536])
async def test_bytes_arrive_as_they_are_and_pass_version_1_by(
    connect: Connecting, size: int
) -> None:
    speaking = await (await connect()).join("room")
    old, new = await (await connect("1.0.0")).join("room"), await (await connect()).join("room")
    content = bytes(i % 256 for i in range(size))
    names = [text.encode() for text in ("1", "7", speaking.topic, "e")]
    head = bytes([3, *map(len, names), 0, 0])
    await speaking.client.socket.send_bytes(head + b"".join(names) + content)
    await say(speaking, {"after": True})
    assert await hears(new, 2) == [content, {"after": True}]
    assert await hears(old, 1) == [{"after": True}]


async def test_many_broadcasts_of_one_sender_keep_their_order(connect: Connecting) -> None:
    speaking = await (await connect()).join("room")
    ears = [await (await connect(version)).join("room") for version in VERSIONS]
    for number in range(500):
        await say(speaking, {"n": number})
    for ear in ears:
        assert [payload["n"] for payload in await hears(ear, 500)] == list(range(500))


async def test_who_has_left_hears_nothing_more(connect: Connecting) -> None:
    speaking, hearing = await (await connect()).join("room"), await (await connect()).join("room")
    await hearing.leave()
    await say(speaking, {})
    await quiet(speaking)
    await quiet(hearing)
    assert heard(hearing) == []


async def test_a_second_join_hears_once(connect: Connecting) -> None:
    client = await connect()
    await client.join("room")
    hearing = await client.join("room")
    speaking = await (await connect()).join("room")
    await say(speaking, {"n": 1})
    await hears(hearing, 1)
    await quiet(hearing)
    assert heard(hearing) == [{"n": 1}]


async def test_a_push_to_a_topic_that_is_not_joined_is_unmatched(connect: Connecting) -> None:
    client = await connect()
    channel = Channel(client, "realtime:nowhere", "1", Frame("", "", {}, None, None))
    await say(channel, {})
    reply = await reply_to(channel)
    assert reply.payload == {"status": "error", "response": {"reason": "unmatched topic"}}


# Limits


@pytest.fixture
async def tight() -> AsyncIterator[Stand]:
    settings = GatewaySettings(
        close_timeout=1.0,
        max_broadcast_bytes=200,
        max_messages_per_second=1,
        max_presence_calls=2,
    )
    async with standing(settings) as stand:
        yield stand


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_payload_that_is_too_large_is_dropped_with_an_answer_if_asked(
    tight: Stand, version: str
) -> None:
    async with await RealtimeClient.connect(tight.url, ANA, version=version) as client:
        channel = await client.join("room", **acked(own=True))
        await say(channel, {"x": "y" * 300})
        reply = await reply_to(channel)
        text = "payload_size_exceeded"
        response = text if version == "2.0.0" else {"reason": text}
        assert reply.payload == {"status": "error", "response": response}
        assert heard(channel) == []
        assert tight.metrics.limits["PayloadSizeExceeded"] == 1


async def test_a_sender_over_its_rate_loses_its_channel_and_nobody_else(tight: Stand) -> None:
    async with (
        await RealtimeClient.connect(tight.url, ANA) as client,
        await RealtimeClient.connect(tight.url, EVA) as other,
    ):
        loud, ear = await client.join("room"), await other.join("room")
        for number in range(61):
            await say(loud, {"n": number})
        system = await loud.wait_system("error", "Too many messages per second")
        assert (system["extension"], system["channel"]) == ("system", "room")
        await loud.wait(lambda frame: frame.event == "phx_close")
        assert len(await hears(ear, 60)) == 60
        await say(ear, {})
        assert (await client.heartbeat()).payload["status"] == "ok"
        assert tight.metrics.limits["MessagesRateLimitReached"] == 1


async def test_a_channel_over_its_presence_calls_ends(tight: Stand) -> None:
    async with await RealtimeClient.connect(tight.url, ANA) as client:
        channel = await client.join("room", **ENABLED)
        for number in range(2):
            await track(channel, {"n": number})
        await channel.push("presence", {"event": "track", "payload": {}})
        await channel.wait_system("error", "Client presence rate limit exceeded")
        await channel.wait(lambda frame: frame.event == "phx_close")


async def test_a_track_that_is_too_large_ends_the_channel(tight: Stand) -> None:
    async with await RealtimeClient.connect(tight.url, ANA) as client:
        channel = await client.join("room", **ENABLED)
        await channel.push("presence", {"event": "track", "payload": {"x": "y" * 300}})
        await channel.wait_system("error", "Track message size exceeded")


async def test_limits_of_all_together_hold_for_each(stand: Stand) -> None:
    settings = GatewaySettings(
        close_timeout=1.0,
        max_messages_per_second_overall=1,
        max_presence_per_second=1,
        max_presence_calls=100,
    )
    async with (
        standing(settings) as stand,
        await RealtimeClient.connect(stand.url, ANA) as client,
    ):
        present, loud = await client.join("a", **ENABLED), await client.join("b")
        for number in range(60):
            await track(present, {"n": number})
        await present.push("presence", {"event": "track", "payload": {}})
        await present.wait_system("error", "Too many presence messages per second")
        for number in range(61):
            await say(loud, {"n": number})
        await loud.wait_system("error", "Too many messages per second")


async def test_a_project_may_allow_private_channels_alone() -> None:
    settings = GatewaySettings(close_timeout=1.0, private_only=True)
    async with (
        standing(settings) as stand,
        await RealtimeClient.connect(stand.url, ANA) as client,
    ):
        assert (await client.join("room")).reason.startswith("PrivateOnly: ")
        assert (await client.join("room", private=True)).joined


# Replication


async def test_who_asks_is_told_when_the_stream_is_read(stand: Stand, connect: Connecting) -> None:
    stand.state = SourceState.CONNECTING
    channel = await (await connect()).join("room", broadcast={"replication_ready": True})
    await quiet(channel)
    assert channel.systems == []
    stand.state = SourceState.STREAMING
    system = await channel.wait_system("ok", "Replication connection established")
    assert (system["extension"], system["channel"]) == ("system", "room")


async def test_nothing_is_left_of_rooms_that_all_have_left(
    stand: Stand, connect: Connecting
) -> None:
    clients = [await connect(version) for version in VERSIONS for _ in range(3)]
    for number in range(20):
        for client in clients:
            channel = await client.join(f"room {number % 5}", **ENABLED)
            await track(channel, {"n": number})
            if number % 2:
                await channel.leave()
    for client in clients:
        await client.close()
    await until(lambda: len(stand.rooms) == 0)
    assert stand.gateway.snapshot().channels == 0
