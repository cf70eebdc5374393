"""Presence between clients of both versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.talking import (
    ENABLED,
    PAIRS,
    Connecting,
    present,
    quiet,
    reply_to,
    sees,
    track,
    who_is_there,
)


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
