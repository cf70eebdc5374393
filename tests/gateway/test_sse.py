"""Server-sent events, read by a parser that follows the standard's rules."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from realtime_hub.gateway.limits import GatewaySettings
from tests.gateway.parts import Stand, standing


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: Any
    ident: str


class Source:
    """Reads events as the standard says: lines end with CR, LF or both, data lines add up."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._ident = ""

    async def next(self) -> Event:
        name, data = "message", []
        async with asyncio.timeout(10):
            while True:
                line = (await self.response.content.readline()).decode()
                if not line:
                    raise EOFError
                field, _, value = line.rstrip("\r\n").partition(": ")
                match field:
                    case "event":
                        name = value
                    case "id":
                        self._ident = value
                    case "data":
                        data.append(value)
                    case "" if data:
                        return Event(name, json.loads("\n".join(data)), self._ident)

    async def changes(self, count: int) -> list[int]:
        events = [await self.next() for _ in range(count)]
        return [event.data["data"]["record"]["id"] for event in events]


@asynccontextmanager
async def reading(
    stand: Stand, last: str | None = None, token: str = "anon", **query: str
) -> AsyncIterator[Source]:
    headers = {"Authorization": f"Bearer {token}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    url = f"{stand.url}/realtime/v1/sse"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, params=query, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        yield Source(response)


async def test_the_first_event_says_where_the_stream_begins() -> None:
    async with standing() as stand, reading(stand, table="llamadas") as source:
        ready = await source.next()
        assert source.response.content_type == "text/event-stream"
        assert ready.name == "ready"
        assert ready.data == {"cursor": ready.ident}


async def test_each_change_is_an_event_with_its_cursor_as_id() -> None:
    async with standing() as stand, reading(stand, table="llamadas") as source:
        await source.next()
        stand.insert(1, 2, "a")
        event = await source.next()
        assert event.name == "message"
        assert event.ident == event.data["cursor"]
        assert event.data["data"]["record"] == {"id": 1, "n": 2, "t": "a"}


async def test_a_client_that_comes_back_goes_on_behind_its_last_event() -> None:
    async with standing() as stand:
        async with reading(stand, table="llamadas") as source:
            await source.next()
            for number in range(1, 4):
                stand.insert(number, 1, "a")
            await source.next()
            last = (await source.next()).ident
        for number in range(4, 600):
            stand.insert(number, 1, "a")
        async with reading(stand, last, table="llamadas") as source:
            assert (await source.next()).name == "ready"
            stand.insert(600, 1, "a")
            assert await source.changes(598) == list(range(3, 601))


async def test_a_client_that_saw_no_change_goes_on_from_ready() -> None:
    async with standing() as stand:
        stand.insert(1, 1, "a")
        async with reading(stand, table="llamadas") as source:
            last = (await source.next()).ident
        stand.insert(2, 1, "a")
        async with reading(stand, last, table="llamadas") as source:
            await source.next()
            assert await source.changes(1) == [2]


async def test_an_id_that_is_no_cursor_is_a_gap() -> None:
    async with standing() as stand, reading(stand, "12", table="llamadas") as source:
        assert (await source.next()).name == "ready"
        gap = await source.next()
        assert (gap.name, gap.data["reason"]) == ("gap", "CursorUnreadable")


async def test_event_filter_and_select_narrow_the_stream() -> None:
    query = {"table": "llamadas", "event": "INSERT", "filter": "n=eq.2", "select": "id"}
    async with standing() as stand, reading(stand, **query) as source:
        await source.next()
        stand.insert(1, 1, "a")
        stand.insert(2, 2, "a")
        assert (await source.next()).data["data"]["record"] == {"id": 2}


async def test_line_ends_in_a_document_do_not_break_an_event() -> None:
    async with standing() as stand, reading(stand, table="llamadas") as source:
        await source.next()
        stand.insert(1, 1, "one\r\ntwo\nthree")
        assert (await source.next()).data["data"]["record"]["t"] == "one\r\ntwo\nthree"


@pytest.mark.parametrize(
    ("token", "query", "status", "words"),
    [
        ("postgres", {"table": "llamadas"}, 401, "MalformedJWT"),
        ("", {"table": "llamadas"}, 401, ""),
        ("anon", {"table": "nowhere"}, 400, "TableNotPublished"),
        ("anon", {"table": "llamadas", "filter": "n=near.2"}, 400, ""),
        ("anon", {}, 400, "schema"),
    ],
)
async def test_a_refusal_is_a_status_and_a_reason(
    token: str, query: dict[str, str], status: int, words: str
) -> None:
    async with standing() as stand, aiohttp.ClientSession() as session:
        headers = {"apikey": token}
        url = f"{stand.url}/realtime/v1/sse"
        async with session.get(url, params=query, headers=headers) as response:
            assert response.status == status
            assert words in (await response.json())["error"]


async def test_a_stream_ends_when_its_token_does() -> None:
    async with standing() as stand:
        token = f"anon/ana/{time.time() + 1.5}"
        async with reading(stand, token=token, table="llamadas") as source:
            await source.next()
            end = await source.next()
            assert (end.name, end.data["code"]) == ("end", "InvalidJWTToken")
            with pytest.raises(EOFError):
                await source.next()


async def test_streams_end_in_order_when_the_gateway_stops() -> None:
    async with standing() as stand, reading(stand, table="llamadas") as source:
        await source.next()
        stand.insert(1, 1, "a")
        stopping = asyncio.create_task(stand.gateway.stop())
        assert await source.changes(1) == [1]
        with pytest.raises(EOFError):
            await source.next()
        await stopping


async def test_streams_count_as_connections() -> None:
    async with (
        standing(GatewaySettings(max_connections=1, close_timeout=1.0)) as stand,
        reading(stand, table="llamadas") as source,
        aiohttp.ClientSession() as session,
    ):
        await source.next()
        assert stand.gateway.snapshot().connections == 1
        url = f"{stand.url}/realtime/v1/sse?table=llamadas&apikey=anon"
        async with session.get(url) as response:
            assert response.status == 429


async def test_who_is_gone_is_forgotten() -> None:
    async with standing() as stand:
        async with reading(stand, table="llamadas") as source:
            await source.next()
            assert len(stand.registry) == 1
        async with asyncio.timeout(10):
            while len(stand.registry):  # noqa: ASYNC110 - the server looks once a second
                await asyncio.sleep(0.05)
