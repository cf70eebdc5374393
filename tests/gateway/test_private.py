"""Private channels and replay, with policies and messages made for tests."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
import structlog.testing

from realtime_hub.errors import ReplayError
from realtime_hub.gateway.limits import GatewaySettings
from realtime_hub.hub.ports import ChannelRights, Extension
from realtime_hub.hub.posts import RoomName
from realtime_hub.wire.broadcast import Broadcast
from tests.gateway.parts import Stand, standing
from tests.gateway.talking import (
    ANA,
    ENABLED,
    EVA,
    VERSIONS,
    Connecting,
    acked,
    heard,
    hears,
    present,
    quiet,
    reply_to,
    say,
    sees,
    track,
    who_is_there,
)
from tests.support.client import RealtimeClient
from tests.support.waiting import until


async def test_private_and_public_rooms_of_one_topic_are_apart(connect: Connecting) -> None:
    public = await (await connect()).join("room", **ENABLED)
    private = await (await connect()).join("room", private=True, **present("ana"))
    member = await (await connect()).join("room", private=True)
    await say(private, {"n": 1})
    await track(private, {})
    await hears(member, 1)
    await quiet(public)
    assert heard(public) == []
    assert who_is_there(public) == {}


async def test_without_the_right_to_read_a_join_is_refused(
    stand: Stand, connect: Connecting
) -> None:
    stand.policies.reads["ana"] = ChannelRights(broadcast=False, presence=False)
    refused = await (await connect()).join("room", private=True)
    expected = "Unauthorized: You do not have permissions to read from this Channel topic: room"
    assert refused.reason == expected
    assert (await (await connect(token=EVA)).join("room", private=True)).joined


async def test_the_right_to_read_presence_alone_lets_in_without_broadcasts(
    stand: Stand, connect: Connecting
) -> None:
    stand.policies.reads["ana"] = ChannelRights(broadcast=False, presence=True)
    watching = await (await connect()).join("room", private=True, **ENABLED)
    speaking = await (await connect(token=EVA)).join("room", private=True, **present("eva"))
    await say(speaking, {})
    await track(speaking, {})
    await sees(watching, {"eva": [{}]})
    assert heard(watching) == []


async def test_without_the_right_to_read_presence_none_is_shown(
    stand: Stand, connect: Connecting
) -> None:
    stand.policies.reads["ana"] = ChannelRights(broadcast=True, presence=False)
    hearing = await (await connect()).join("room", private=True, **ENABLED)
    speaking = await (await connect(token=EVA)).join("room", private=True, **present("eva"))
    await track(speaking, {})
    await say(speaking, {"n": 1})
    await hears(hearing, 1)
    assert not [frame for frame in hearing.frames if frame.event.startswith("presence")]


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_may_not_be_written_is_dropped_without_a_word(
    stand: Stand, connect: Connecting, version: str
) -> None:
    stand.policies.writes["ana", Extension.BROADCAST] = False
    stand.policies.writes["ana", Extension.PRESENCE] = False
    hearing = await (await connect(token=EVA)).join("room", private=True, **ENABLED)
    denied = await (await connect(version)).join("room", private=True, **acked())
    await say(denied, {}, ref="905")
    reply = await track(denied, {})
    assert reply.payload["status"] == "error"
    await quiet(denied)
    await quiet(hearing)
    assert heard(hearing) == []
    assert who_is_there(hearing) == {}
    assert not [frame for frame in denied.frames if frame.ref == "905"]
    assert denied.systems == []


async def test_the_right_to_write_is_asked_once_and_nothing_overtakes_the_question(
    stand: Stand, connect: Connecting
) -> None:
    hearing = await (await connect(token=EVA)).join("room", private=True)
    speaking = await (await connect()).join("room", private=True, **acked())
    stand.policies.open.clear()
    for number in range(5):
        await say(speaking, {"n": number}, ref=f"91{number}")
    await quiet(speaking)
    assert heard(hearing) == []
    stand.policies.open.set()
    assert [payload["n"] for payload in await hears(hearing, 5)] == list(range(5))
    await reply_to(speaking, "914")
    await say(speaking, {"n": 5})
    await hears(hearing, 6)
    assert stand.policies.asked.count(("ana", "room", "broadcast")) == 1


async def test_while_the_policies_can_not_be_asked_joins_are_refused_and_broadcasts_dropped(
    stand: Stand, connect: Connecting
) -> None:
    hearing = await (await connect(token=EVA)).join("room", private=True)
    speaking = await (await connect()).join("room", private=True)
    stand.policies.away = True
    await say(speaking, {"lost": True})
    refused = await (await connect()).join("room", private=True)
    assert refused.reason.startswith("UnableToConnectToProject: ")
    assert "10.0.0.1" not in refused.reason
    stand.policies.away = False
    await say(speaking, {"n": 1})
    assert await hears(hearing, 1) == [{"n": 1}]


async def test_a_question_that_breaks_ends_the_channel_that_would_wait_for_it(
    stand: Stand, connect: Connecting
) -> None:
    hearing = await (await connect(token=EVA)).join("room", private=True)
    speaking = await (await connect()).join("room", private=True)
    stand.policies.broken = True
    with structlog.testing.capture_logs() as logs:
        await say(speaking, {"n": 0})
        await speaking.wait_system("error", "Something went wrong")
        await speaking.wait(lambda frame: frame.event == "phx_close")
    assert [(entry["event"], entry["topic"]) for entry in logs] == [("seat_broke", speaking.topic)]
    stand.policies.broken = False
    await say(await (await connect()).join("room", private=True), {"n": 1})
    assert await hears(hearing, 1) == [{"n": 1}]


async def test_a_refreshed_token_that_may_not_read_ends_the_channel(
    stand: Stand, connect: Connecting
) -> None:
    channel = await (await connect()).join("room", private=True)
    stand.policies.reads["eva"] = ChannelRights(broadcast=False, presence=False)
    await channel.push("access_token", {"access_token": EVA})
    text = "You no longer have permission to read from this Channel topic: room"
    await channel.wait_system("error", text)
    await channel.wait(lambda frame: frame.event == "phx_close")
    assert stand.policies.forgotten == [("eva", "room")]


async def test_a_refreshed_token_is_asked_for_its_right_to_write_too(
    stand: Stand, connect: Connecting
) -> None:
    hearing = await (await connect()).join("room", private=True)
    speaking = await (await connect()).join("room", private=True)
    await say(speaking, {"n": 1})
    await hears(hearing, 1)
    stand.policies.writes["eva", Extension.BROADCAST] = False
    await speaking.push("access_token", {"access_token": EVA})
    await until(lambda: ("eva", "room", "read") in stand.policies.asked)
    await quiet(speaking)
    await say(speaking, {"n": 2})
    await quiet(speaking)
    await quiet(hearing)
    assert heard(hearing) == [{"n": 1}]


async def test_a_right_that_was_revoked_ends_the_channel_after_the_stated_time() -> None:
    settings = GatewaySettings(close_timeout=1.0, channel_policy_ttl=0.05)
    async with (
        standing(settings) as stand,
        await RealtimeClient.connect(stand.url, ANA) as client,
    ):
        private, public = await client.join("room", private=True), await client.join("public")
        stand.policies.reads["ana"] = ChannelRights(broadcast=False, presence=False)
        await private.wait_system("error", "You no longer have permission to read")
        await private.wait(lambda frame: frame.event == "phx_close")
        await quiet(public)
        assert public.systems == []


# Replay


def kept(number: int, *, replayed: bool = True) -> Broadcast:
    meta: dict[str, Any] = {"id": f"m{number}"} | ({"replayed": True} if replayed else {})
    payload = orjson.dumps({"n": number})
    return Broadcast("e", payload, meta=orjson.dumps(meta), ident=f"m{number}")


def replaying(**replay: Any) -> dict[str, Any]:
    return {"private": True, "broadcast": {"replay": replay}}


@pytest.mark.parametrize("version", VERSIONS)
async def test_replay_comes_after_the_reply_and_says_so(
    stand: Stand, connect: Connecting, version: str
) -> None:
    stand.kept.messages = [kept(1), kept(2)]
    channel = await (await connect(version)).join("room", **replaying(since=5_000, limit=2))
    assert await hears(channel, 2) == [{"n": 1}, {"n": 2}]
    assert stand.kept.asked == [("room", 5.0, 2)]
    assert channel.frames[0].event == "phx_reply"
    assert channel.frames[1].payload["meta"] == {"id": "m1", "replayed": True}


async def test_nothing_comes_twice_and_nothing_is_lost_where_replay_meets_live(
    stand: Stand, connect: Connecting
) -> None:
    """The replay reads messages that the stream brings before, during and after the join."""
    room = RoomName("room", private=True)
    stand.kept.messages = [kept(1), kept(2), kept(3)]
    stand.kept.open.clear()
    client = await connect()
    joining = asyncio.create_task(client.join("room", **replaying(since=0, limit=25)))
    await until(lambda: bool(stand.kept.asked))
    for number in (2, 4):
        stand.rooms.say(room, kept(number, replayed=False))
    stand.kept.open.set()
    channel = await joining
    for number in (3, 5):
        stand.rooms.say(room, kept(number, replayed=False))
    assert [payload["n"] for payload in await hears(channel, 5)] == [1, 2, 3, 4, 5]
    await quiet(channel)
    assert len(heard(channel)) == 5


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"private": False, "broadcast": {"replay": {"since": 0}}}, "public channels"),
        (replaying(since="yesterday"), "not valid"),
        (replaying(limit="all"), "not valid"),
        (replaying(since=True), "not valid"),
        (replaying(since=-1), "not valid"),
        (replaying(since=1e300), "not valid"),
        ({"private": True, "broadcast": {"replay": [1]}}, "not valid"),
    ],
)
async def test_a_replay_that_makes_no_sense_is_refused(
    connect: Connecting, config: Any, words: str
) -> None:
    channel = await (await connect()).join("room", **config)
    assert channel.reason.startswith(f"{ReplayError.code}: ")
    assert words in channel.reason


async def test_replay_needs_the_right_to_read_broadcasts(stand: Stand, connect: Connecting) -> None:
    stand.policies.reads["ana"] = ChannelRights(broadcast=False, presence=True)
    channel = await (await connect()).join("room", **replaying())
    assert channel.reason.startswith("Unauthorized: ")
    assert stand.kept.asked == []
