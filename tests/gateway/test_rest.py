"""Broadcasts over HTTP: what they reach, and every way in which they are refused."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import pytest

from realtime_hub.gateway.http import API_PREFIXES
from realtime_hub.gateway.limits import GatewaySettings
from realtime_hub.hub.ports import Extension
from tests.gateway.parts import Stand, standing
from tests.gateway.talking import ANA, EVA, heard, hears, quiet
from tests.support.client import Channel, RealtimeClient

HELLO = {"topic": "room", "event": "e", "payload": {"n": 1}}


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Any


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with standing(GatewaySettings(close_timeout=1.0, max_broadcast_bytes=2_000)) as stand:
        yield stand


@pytest.fixture
async def ear(stand: Stand) -> AsyncIterator[Channel]:
    async with await RealtimeClient.connect(stand.url, EVA) as client:
        yield await client.join("room")


async def post(
    stand: Stand, path: str, body: Any = None, *, data: bytes | None = None, **headers: str
) -> Answer:
    sent = {"Authorization": f"Bearer {ANA}", "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            aiohttp.client.URL(stand.url + path, encoded=True),
            data=io.BytesIO(json.dumps(body).encode() if data is None else data),
            headers={name: value for name, value in sent.items() if value},
        ) as answer,
    ):
        text = await answer.text()
        return Answer(answer.status, json.loads(text) if text else None, answer.headers)


# What arrives


@pytest.mark.parametrize("prefix", API_PREFIXES)
async def test_a_batch_reaches_its_rooms(stand: Stand, ear: Channel, prefix: str) -> None:
    other = {**HELLO, "topic": "elsewhere"}
    answer = await post(stand, f"{prefix}/broadcast", {"messages": [HELLO, other, HELLO]})
    assert (answer.status, answer.body) == (202, None)
    assert await hears(ear, 2) == [{"n": 1}, {"n": 1}]
    await quiet(ear)
    assert len(heard(ear)) == 2
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["x-rate-limit"] == "2500"
    assert float(answer.headers["x-rate-rolling"]) > 0
    assert int(answer.headers["x-rate-limit-remaining"]) == 2499


@pytest.mark.parametrize("prefix", API_PREFIXES)
async def test_a_single_message_reaches_its_room_with_all_digits(
    stand: Stand, ear: Channel, prefix: str
) -> None:
    path = f"{prefix}/broadcast/room/events/e?apikey=x&vsn=2.0.0"
    answer = await post(stand, path, data=b'{"n": 12345678901234567890.50}')
    assert answer.status == 202
    await hears(ear, 1)
    assert heard(ear) == [{"n": 12345678901234567890.50}]


async def test_bytes_go_as_bytes(stand: Stand, ear: Channel) -> None:
    path = "/api/broadcast/room/events/e"
    answer = await post(stand, path, data=b"\x00\xff", Content_Type="application/octet-stream")
    assert answer.status == 202
    assert await hears(ear, 1) == [b"\x00\xff"]


@pytest.mark.parametrize("topic", ["a/b", "ñandú 📞", "a%2Fb", "room:1", "..", "a?b#c"])
async def test_names_in_the_path_are_percent_encoded(stand: Stand, topic: str) -> None:
    async with await RealtimeClient.connect(stand.url, EVA) as client:
        channel = await client.join(topic)
        encoded = quote(topic, safe="").replace("..", "%2E%2E")
        answer = await post(stand, f"/api/broadcast/{encoded}/events/{encoded}", {"n": 1})
        assert answer.status == 202
        await hears(channel, 1)
        frame = next(frame for frame in channel.frames if frame.event == "broadcast")
        assert frame.payload["event"] == topic


async def test_the_apikey_header_is_a_token_too(stand: Stand, ear: Channel) -> None:
    answer = await post(
        stand, "/api/broadcast", {"messages": [HELLO]}, Authorization="", apikey=ANA
    )
    assert answer.status == 202
    await hears(ear, 1)


async def test_a_browser_may_ask_before(stand: Stand) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.options(f"{stand.url}/api/broadcast") as answer,
    ):
        assert answer.status == 204
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"]


# Private rooms


async def test_private_messages_need_the_right_to_write(stand: Stand) -> None:
    async with await RealtimeClient.connect(stand.url, EVA) as client:
        channel = await client.join("room", private=True)
        private = {**HELLO, "private": True}
        assert (await post(stand, "/api/broadcast", {"messages": [private]})).status == 202
        await hears(channel, 1)
        single = "/api/broadcast/room/events/e?private=true"
        assert (await post(stand, single, {"n": 2})).status == 202
        await hears(channel, 2)
        stand.policies.writes["ana", Extension.BROADCAST] = False
        assert (await post(stand, "/api/broadcast", {"messages": [private]})).status == 202
        denied = await post(stand, single, {"n": 3})
        assert (denied.status, denied.body) == (403, {"message": "Unauthorized"})
        assert (await post(stand, "/api/broadcast", {"messages": [HELLO]})).status == 202
        await quiet(channel)
        assert len(heard(channel)) == 2


async def test_while_the_policies_can_not_be_asked_nothing_is_said(stand: Stand) -> None:
    stand.policies.away = True
    answer = await post(stand, "/api/broadcast/room/events/e?private=true", {})
    assert answer.status == 503
    assert answer.body["message"].startswith("DatabaseUnreachable: ")


# Refusals


@pytest.mark.parametrize("path", ["/api/broadcast", "/api/broadcast/room/events/e"])
@pytest.mark.parametrize("token", ["", "nobody", "authenticated/ana/1"])
async def test_without_a_token_that_holds_it_is_unauthorized(
    stand: Stand, path: str, token: str
) -> None:
    bearer = f"Bearer {token}" if token else ""
    answer = await post(stand, path, {"messages": [HELLO]}, Authorization=bearer)
    assert (answer.status, answer.body) == (401, {"message": "Unauthorized"})


BLANK, INVALID = ["can't be blank"], ["is invalid"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"messages": BLANK}),
        ([], {"messages": BLANK}),
        (7, {"messages": BLANK}),
        ({"messages": []}, {"messages": BLANK}),
        ({"messages": "all"}, {"messages": INVALID}),
        ({"messages": [7]}, {"messages": [{"message": INVALID}]}),
        ({"messages": [{}]}, {"messages": [{"topic": BLANK, "event": BLANK, "payload": BLANK}]}),
        (
            {"messages": [HELLO, {**HELLO, "topic": 7, "event": "", "payload": [1]}]},
            {"messages": [{}, {"topic": INVALID, "event": BLANK, "payload": INVALID}]},
        ),
        ({"messages": [{**HELLO, "private": "yes"}]}, {"messages": [{"private": INVALID}]}),
        (
            {"messages": [{**HELLO, "payload": {"x": "y" * 3_000}}]},
            {"messages": [{"payload": ["Payload size exceeds tenant limit"]}]},
        ),
        (
            {"messages": [{**HELLO, "topic": "t" * 2_000}]},
            {"messages": [{"topic": ["is too long"]}]},
        ),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused_as_a_whole(
    stand: Stand, ear: Channel, body: Any, errors: Any
) -> None:
    answer = await post(stand, "/api/broadcast", body)
    assert (answer.status, answer.body) == (422, {"errors": errors})
    await quiet(ear)
    assert heard(ear) == []


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"NaN", "application/json", 422),
        (b"\xff", "application/json", 422),
        (b"[" * 100_000 + b"]" * 100_000, "application/json", 422),
        (b'"' + b"x" * 3_000 + b'"', "application/json", 422),
        (b"x" * 3_000, "application/octet-stream", 422),
        (b"n=1", "application/x-www-form-urlencoded", 415),
        (b"<n/>", "text/xml", 415),
        (b"", "application/json", 422),
        (b"x" * 6_000_000, "application/octet-stream", 413),
    ],
)
async def test_a_message_that_makes_no_sense_is_refused_in_words(
    stand: Stand, ear: Channel, data: bytes, content_type: str, status: int
) -> None:
    path = "/api/broadcast/room/events/e"
    answer = await post(stand, path, data=data, Content_Type=content_type)
    assert answer.status == status
    assert answer.body["message"]
    await quiet(ear)
    assert heard(ear) == []


async def test_bytes_under_a_name_too_long_for_them_are_refused(stand: Stand) -> None:
    path = f"/api/broadcast/{'t' * 300}/events/e"
    answer = await post(stand, path, data=b"x", Content_Type="application/octet-stream")
    assert answer.status == 422
    assert (await post(stand, path, {})).status == 202


async def test_storing_a_message_over_http_is_refused_and_not_just_forgotten(stand: Stand) -> None:
    answer = await post(stand, "/api/broadcast/room/events/e?private=true&persist=true", {})
    assert answer.status == 422
    assert "realtime.send" in answer.body["message"]


async def test_over_the_rate_it_is_429(ear: Channel, stand: Stand) -> None:
    settings = GatewaySettings(close_timeout=1.0, max_messages_per_second_overall=1)
    async with standing(settings) as tight:
        batch = {"messages": [HELLO] * 60}
        assert (await post(tight, "/api/broadcast", batch)).status == 202
        answer = await post(tight, "/api/broadcast/room/events/e", {})
        assert answer.status == 429
        assert answer.body == {"message": "You have exceeded your rate limit"}
        answer = await post(tight, "/api/broadcast", batch)
        assert answer.status == 429
        assert "reduce the batch size" in answer.body["message"]
        assert tight.metrics.limits["MessagesRateLimitReached"] == 2
