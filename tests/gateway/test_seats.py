"""Broadcast, presence and private channels over real sockets, with policies made for tests."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest

from realtime_hub.errors import ReplayError
from realtime_hub.gateway.limits import GatewaySettings
from realtime_hub.hub.ports import ChannelRights, Extension, SourceState
from realtime_hub.hub.posts import RoomName
from realtime_hub.wire.broadcast import Broadcast
from tests.gateway.parts import Stand, standing
from tests.support.client import Channel, Frame, RealtimeClient, push_broadcast

ANA, EVA = "authenticated/ana", "authenticated/eva"
VERSIONS = ["1.0.0", "2.0.0"]
PAIRS = list(itertools.product(VERSIONS, VERSIONS))
ENABLED: dict[str, Any] = {"presence": {"key": "", "enabled": True}}

Connecting = Callable[..., Awaitable[RealtimeClient]]


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with standing() as stand:
        yield stand


@pytest.fixture
async def connect(stand: Stand) -> AsyncIterator[Connecting]:
    opened: list[RealtimeClient] = []

    async def connecting(version: str = "2.0.0", token: str = ANA) -> RealtimeClient:
        client = await RealtimeClient.connect(stand.url, token, version=version)
        opened.append(client)
        return client

    yield connecting
    for client in opened:
        await client.close()


def acked(ack: bool = True, own: bool = False) -> dict[str, Any]:
    return {"broadcast": {"ack": ack, "self": own}}


def present(key: str = "", **config: Any) -> dict[str, Any]:
    return {"presence": {"key": key, "enabled": True}, **config}


async def say(channel: Channel, payload: Any, event: str = "e", ref: str = "900") -> None:
    """As each version's client does: text, or a binary frame."""
    client = channel.client
    if client.version == "1.0.0":
        message = {"type": "broadcast", "event": event, "payload": payload}
        await client.send(channel.topic, "broadcast", message, ref=ref, join_ref=channel.join_ref)
    else:
        frame = push_broadcast(channel.topic, event, payload, join_ref=channel.join_ref, ref=ref)
        await client.socket.send_bytes(frame)


def heard(channel: Channel) -> list[Any]:
    return [frame.payload["payload"] for frame in channel.frames if frame.event == "broadcast"]


async def hears(channel: Channel, count: int) -> list[Any]:
    await channel.client.until(lambda: len(heard(channel)) >= count)
    return heard(channel)


async def reply_to(channel: Channel, ref: str = "900") -> Frame:
    return await channel.wait(lambda frame: frame.event == "phx_reply" and frame.ref == ref)


async def quiet(channel: Channel) -> None:
    """Whatever was on its way has come once a heartbeat is answered."""
    await channel.client.heartbeat()


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the server's tasks run until they have brought something about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def track(channel: Channel, payload: Any, event: str = "track") -> Frame:
    message = {"type": "presence", "event": event, "payload": payload}
    ref = await channel.push("presence", message)
    return await reply_to(channel, ref)


def who_is_there(channel: Channel) -> dict[str, list[dict[str, Any]]]:
    """What a client knows from the state and all diffs: metas without their refs, by key."""
    known: dict[str, dict[str, dict[str, Any]]] = {}
    for frame in channel.frames:
        if frame.event == "presence_state":
            known = {
                key: {meta["phx_ref"]: meta for meta in entry["metas"]}
                for key, entry in frame.payload.items()
            }
        elif frame.event == "presence_diff":
            for key, entry in frame.payload["joins"].items():
                metas = known.setdefault(key, {})
                metas |= {meta["phx_ref"]: meta for meta in entry["metas"]}
            for key, entry in frame.payload["leaves"].items():
                for meta in entry["metas"]:
                    known[key].pop(meta["phx_ref"])
    strip = {"phx_ref", "phx_ref_prev"}
    return {
        key: [{k: v for k, v in meta.items() if k not in strip} for meta in metas.values()]
        for key, metas in known.items()
        if metas
    }


async def sees(channel: Channel, expected: dict[str, list[dict[str, Any]]]) -> None:
    await channel.client.until(lambda: who_is_there(channel) == expected)


# Broadcast


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


# Presence


@pytest.mark.parametrize(("one", "two"), PAIRS)
async def test_members_see_each_other_come_change_and_go(
    connect: Connecting, one: str, two: str
) -> None:
    first = await (await connect(one)).join("room", **present("ana"))
    await sees(first, {})
    assert (await track(first, {"at": "desk"})).payload["status"] == "ok"
    second = await (await connect(two)).join("room", **present("eva"))
    await sees(second, {"ana": [{"at": "desk"}]})
    await track(second, {"at": "door"})
    await sees(first, {"ana": [{"at": "desk"}], "eva": [{"at": "door"}]})
    await track(second, {"at": "table"})
    await sees(first, {"ana": [{"at": "desk"}], "eva": [{"at": "table"}]})
    await track(second, {}, "untrack")
    await sees(first, {"ana": [{"at": "desk"}]})
    await first.leave()
    await sees(second, {})


async def test_the_state_carries_the_joins_ref_and_comes_after_its_reply(
    connect: Connecting,
) -> None:
    channel = await (await connect()).join("room", **ENABLED)
    state = await channel.wait(lambda frame: frame.event == "presence_state")
    assert (state.join_ref, state.ref) == (channel.join_ref, None)
    assert channel.frames[0].event == "phx_reply"


async def test_who_did_not_enable_presence_gets_none_until_it_tracks(connect: Connecting) -> None:
    first = await (await connect()).join("room", **present("ana"))
    await track(first, {})
    late = await (await connect()).join("room", presence={"key": "eva", "enabled": False})
    await quiet(late)
    assert not [frame for frame in late.frames if frame.event.startswith("presence")]
    await track(late, {"n": 1})
    await sees(late, {"ana": [{}], "eva": [{"n": 1}]})


async def test_tabs_share_a_key_and_go_one_by_one(connect: Connecting) -> None:
    watcher = await (await connect()).join("room", **present("eva"))
    tabs = [await connect() for _ in range(2)]
    for number, tab in enumerate(tabs):
        await track(await tab.join("room", **present("ana")), {"tab": number})
    await sees(watcher, {"ana": [{"tab": 0}, {"tab": 1}]})
    await tabs[0].close()
    await sees(watcher, {"ana": [{"tab": 1}]})


async def test_without_a_key_each_member_has_one_of_its_own(connect: Connecting) -> None:
    channels = [await (await connect()).join("room", **ENABLED) for _ in range(2)]
    for channel in channels:
        await track(channel, {})
    await channels[0].client.until(lambda: len(who_is_there(channels[0])) == 2)


async def test_a_lost_connection_leaves(connect: Connecting) -> None:
    watcher = await (await connect()).join("room", **present("eva"))
    lost = await connect()
    await track(await lost.join("room", **present("ana")), {})
    await sees(watcher, {"ana": [{}]})
    transport = lost.socket.get_extra_info("socket")
    assert transport is not None
    lost.socket._response.connection.transport.abort()  # type: ignore[union-attr]
    await sees(watcher, {})


async def test_a_second_join_is_somebody_new(connect: Connecting) -> None:
    watcher = await (await connect()).join("room", **present("eva"))
    client = await connect()
    await track(await client.join("room", **present("ana")), {"n": 1})
    await sees(watcher, {"ana": [{"n": 1}]})
    again = await client.join("room", **present("ana"))
    await sees(watcher, {})
    await track(again, {"n": 2})
    await sees(watcher, {"ana": [{"n": 2}]})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"event": "track", "payload": [1]}, "must be a map"),
        ({"event": "track", "payload": None}, "must be a map"),
        ({"event": "dance", "payload": {}}, "Unknown presence event"),
        ({"event": 7}, "Unknown presence event"),
        ({}, "Unknown presence event"),
    ],
)
async def test_a_presence_call_that_makes_no_sense_is_answered(
    connect: Connecting, message: Any, words: str
) -> None:
    channel = await (await connect()).join("room", **ENABLED)
    reply = await reply_to(channel, await channel.push("presence", message))
    assert reply.payload["status"] == "error"
    assert words in reply.payload["response"]["reason"]


@pytest.mark.parametrize("event", ["TRACK", "Track"])
async def test_presence_events_may_be_in_any_case(connect: Connecting, event: str) -> None:
    channel = await (await connect()).join("room", **present("ana"))
    await track(channel, {"n": 1}, event)
    await sees(channel, {"ana": [{"n": 1}]})


async def test_a_forged_ref_is_not_taken(connect: Connecting) -> None:
    channel = await (await connect()).join("room", **present("ana"))
    await track(channel, {"phx_ref": "forged", "phx_ref_prev": "forged"})
    await sees(channel, {"ana": [{}]})
    assert "forged" not in str(channel.frames)


# Private channels


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
    await eventually(lambda: ("eva", "room", "read") in stand.policies.asked)
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
    await eventually(lambda: bool(stand.kept.asked))
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


# Replication


async def test_who_asks_is_told_when_the_stream_is_read(stand: Stand, connect: Connecting) -> None:
    stand.state = SourceState.CONNECTING
    channel = await (await connect()).join("room", broadcast={"replication_ready": True})
    await quiet(channel)
    assert channel.systems == []
    stand.state = SourceState.STREAMING
    system = await channel.wait_system("ok", "Replication connection established")
    assert (system["extension"], system["channel"]) == ("system", "room")
