"""Broadcast, presence and private channels asked for in ways that make no sense, or mean harm."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.badinput.conftest import ANON
from tests.badinput.rawsocket import BINARY, TEXT, RawSocket
from tests.support.client import Channel, Frame, RealtimeClient, push_broadcast
from tests.support.stand import Stand

pytestmark = pytest.mark.postgres

VERSIONS = ["1.0.0", "2.0.0"]


@pytest.fixture
async def ear(stand: Stand) -> AsyncIterator[Channel]:
    """A bystander in the room: it must hear what is right, and nothing else."""
    async with await RealtimeClient.connect(stand.url, ANON) as client:
        config = {"presence": {"key": "ear", "enabled": True}}
        yield await client.join("room", **config)


def heard(channel: Channel) -> list[Any]:
    return [frame.payload for frame in channel.frames if frame.event == "broadcast"]


def somebody_comes(frame: Frame) -> bool:
    """Those of an earlier test may still leave."""
    return frame.event == "presence_diff" and bool(frame.payload["joins"])


async def still_talks(speaking: Channel, ear: Channel) -> None:
    """Assert that a broadcast of the channel is the next thing the bystander hears."""
    before = len(heard(ear))
    frame = push_broadcast(
        speaking.topic, "e", {"well": True}, join_ref=speaking.join_ref, ref="99"
    )
    await speaking.client.socket.send_bytes(frame)
    await ear.client.until(lambda: len(heard(ear)) > before)
    assert [message["payload"] for message in heard(ear)[before:]] == [{"well": True}]


def framed(
    *,
    join_ref: bytes = b"1",
    topic: bytes = b"realtime:room",
    event: bytes = b"e",
    meta: bytes = b"",
    encoding: int = 1,
    payload: bytes = b"{}",
) -> bytes:
    parts = (join_ref, b"7", topic, event, meta)
    return bytes([3, *map(len, parts), encoding]) + b"".join(parts) + payload


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "a header cut off": framed()[:5],
    "names cut off": framed()[:12],
    "lengths beyond the frame": bytes([3, 255, 255, 255, 255, 255, 1]) + b"short",
    "another kind": b"\x04" + framed()[1:],
    "another encoding": framed(encoding=9),
    "json cut off": framed(payload=b'{"a":'),
    "no json": framed(payload=b""),
    "NaN": framed(payload=b'{"a":NaN}'),
    "json too deep": framed(payload=b"[" * 100_000 + b"]" * 100_000),
    "a topic that is not UTF-8": framed(topic=b"realtime:\xff"),
    "an event that is not UTF-8": framed(event=b"\xff"),
    "json that is not UTF-8": framed(payload=b'"\xff"'),
}


@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_binary_frame_is_dropped_and_the_channel_lives(
    client: RealtimeClient, ear: Channel, frame: bytes
) -> None:
    channel = await client.join("room")
    await client.socket.send_bytes(frame)
    await still_talks(channel, ear)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"event": None, "payload": None},
        {"event": 7, "payload": [1]},
        {"type": "postgres_changes", "event": "e", "payload": {}},
        {"type": "broadcast", "event": "e" * 10_000, "payload": {}},
        {"event": "e", "payload": {"a\u0000b": "\u0000"}, "meta": {"replayed": True, "id": "x"}},
    ],
)
async def test_an_odd_text_broadcast_is_passed_on_as_a_broadcast(
    client: RealtimeClient, ear: Channel, payload: dict[str, Any]
) -> None:
    channel = await client.join("room")
    await channel.push("broadcast", payload)
    await ear.client.until(lambda: len(heard(ear)) == 1)
    [message] = heard(ear)
    assert message["type"] == "broadcast"
    assert "meta" not in message
    await still_talks(channel, ear)


@pytest.mark.parametrize("event", ["broadcast", "presence"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_json_that_can_be_read_and_not_written_is_dropped(
    stand: Stand, ear: Channel, version: str, event: str
) -> None:
    deep = json.dumps({"event": "track", "payload": {"a": "@"}}).replace(
        '"@"', "[" * 600 + "]" * 600
    )
    async with await RealtimeClient.connect(stand.url, ANON, version=version) as client:
        channel = await client.join("room")
        head = f'["1","7","realtime:room","{event}",{deep}]'
        old = f'{{"topic":"realtime:room","event":"{event}","ref":"7","payload":{deep}}}'
        await client.socket.send_str(old if version == "1.0.0" else head)
        assert (await client.heartbeat()).payload["status"] == "ok"
        assert heard(ear) == []
        assert channel.systems == []


async def test_binary_frames_on_version_1_are_dropped(stand: Stand, ear: Channel) -> None:
    async with await RealtimeClient.connect(stand.url, ANON, version="1.0.0") as client:
        await client.join("room")
        await client.socket.send_bytes(framed())
        assert (await client.heartbeat()).payload["status"] == "ok"
        assert heard(ear) == []


@pytest.mark.parametrize("topic", ["realtime:other", "room", "", "phoenix", "realtime:"])
async def test_nobody_speaks_in_a_room_that_it_has_not_joined(
    client: RealtimeClient, ear: Channel, topic: str
) -> None:
    await client.join("room")
    await client.socket.send_bytes(framed(topic=topic.encode()))
    reply = await client.wait(lambda frame: frame.event == "phx_reply" and frame.ref == "7")
    assert reply.payload["response"] == {"reason": "unmatched topic"}
    assert heard(ear) == []


async def test_a_fragmented_broadcast_is_one_broadcast(stand: Stand, ear: Channel) -> None:
    frame = framed(payload=b'{"n":1}')
    async with await RawSocket.connected(stand.url, ANON) as raw:
        join = ["1", "1", "realtime:room", "phx_join", {"config": {}}]
        await raw.send(TEXT, json.dumps(join).encode())
        await raw.receive()
        await raw.send(BINARY, frame[:9], final=False)
        await raw.send(0, frame[9:])
        await ear.client.until(lambda: len(heard(ear)) == 1)


@pytest.mark.parametrize(
    "message",
    [
        {"event": "track", "payload": "text"},
        {"event": "track", "payload": [1, 2]},
        {"event": ["track"]},
        {"event": "", "payload": {}},
        {"payload": {}},
    ],
)
async def test_an_odd_presence_call_is_answered_with_an_error(
    client: RealtimeClient, ear: Channel, message: dict[str, Any]
) -> None:
    channel = await client.join("room", presence={"key": "k", "enabled": True})
    ref = await channel.push("presence", message)
    reply = await channel.wait(lambda frame: frame.ref == ref)
    assert reply.payload["status"] == "error"
    await still_talks(channel, ear)
    assert not any(map(somebody_comes, ear.frames))


@pytest.mark.parametrize("key", ["", "k" * 10_000, "a\u0000b", '"],"x":{', "__proto__", "ñ📞"])
async def test_an_odd_presence_key_is_only_a_key(
    client: RealtimeClient, ear: Channel, key: str
) -> None:
    channel = await client.join("room", presence={"key": key, "enabled": True})
    await channel.push("presence", {"event": "track", "payload": {"metas": [], "n": 1}})
    diff = await ear.wait(somebody_comes)
    [(shown, entry)] = diff.payload["joins"].items()
    assert shown == key or not key
    assert [meta["n"] for meta in entry["metas"]] == [1]


@pytest.mark.parametrize(
    "config",
    [
        {"broadcast": {"self": [], "ack": 7, "replay": False}},
        {"presence": {"key": 7, "enabled": "perhaps"}},
        {"private": "no"},
        {"broadcast": [], "presence": [], "private": None},
    ],
)
async def test_a_config_of_wrong_types_joins_or_says_why(
    client: RealtimeClient, ear: Channel, config: dict[str, Any]
) -> None:
    channel = await client.join("room", **config)
    assert channel.joined or channel.reason.startswith("UnableToReplayMessages: ")
    assert (await client.heartbeat()).payload["status"] == "ok"


# Private channels


async def test_without_the_table_a_private_channel_is_refused_with_what_to_do(
    client: RealtimeClient,
) -> None:
    channel = await client.join("room", private=True)
    assert channel.reason.startswith("UnableToSetPolicies: ")
    assert "realtime-hub init" in channel.reason


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":{}}', b"\xff", b"[" * 99_999])
async def test_a_body_over_http_that_makes_no_sense_is_422(
    stand: Stand, ear: Channel, body: bytes
) -> None:
    headers = {"Authorization": f"Bearer {ANON}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{stand.url}/api/broadcast", data=body, headers=headers) as answer,
    ):
        assert answer.status == 422
        assert "errors" in await answer.json()
    assert heard(ear) == []
