"""Handlers of supabase-py on a hub, beside the real client's own channel."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import psycopg
import pytest
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from realtime_hub import RealtimeHub, payloads
from realtime_hub.library.upstreams.memory import MemorySource
from tests.library.worlds import QUICK, prepare
from tests.support.inprocess import serving
from tests.support.tokens import make_token
from tests.support.waiting import until

Payload = dict[str, Any]


class Handlers:
    """One of each kind."""

    def __init__(self) -> None:
        self.got: list[Payload] = []
        self.tasks: list[asyncio.Task[None]] = []

    def method(self, payload: Payload) -> None:
        self.got.append(payload)

    async def coroutine(self, payload: Payload) -> None:
        await asyncio.sleep(0)
        self.got.append(payload)

    def task(self, payload: Payload) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(self.coroutine(payload)))
        return self.tasks[-1]


@pytest.mark.parametrize("kind", ["method", "coroutine", "task"])
async def test_a_handler_of_any_kind_gets_the_payload_and_no_error(
    source: MemorySource, hub: RealtimeHub, kind: str
) -> None:
    handlers, errors = Handlers(), list[Exception]()
    hub.on_error(lambda error, change: errors.append(error))
    payload = await _told(source, hub, getattr(handlers, kind))
    await until(lambda: handlers.got)
    assert handlers.got == [payload]
    assert errors == []


async def test_a_lambda_gets_the_payload(source: MemorySource, hub: RealtimeHub) -> None:
    got: list[Payload] = []
    payload = await _told(source, hub, lambda payload: got.append({**payload}))
    assert got == [payload]


async def _told(source: MemorySource, hub: RealtimeHub, handler: Any) -> Payload:
    """Subscribe, have a row inserted, and give the payload that a plain listener got."""
    seen: list[Payload] = []
    await hub.subscribe("calls", "INSERT", lambda change: seen.append(change.payload))
    await hub.subscribe("calls", "INSERT", payloads(handler))
    source.insert("calls", {"id": 1})
    await until(lambda: seen)
    return seen[0]


async def test_what_a_handler_raises_is_reported_under_its_name(
    source: MemorySource, hub: RealtimeHub, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    def on_call(payload: Payload) -> None:
        raise LookupError(payload["data"]["table"])

    assert payloads(on_call).__qualname__ == on_call.__qualname__
    await hub.subscribe("calls", "*", payloads(on_call), on_error=lambda e, c: errors.append(e))
    source.insert("calls", {"id": 1})
    await until(lambda: errors)
    assert [type(error) for error in errors] == [LookupError]


async def test_a_handler_gets_from_the_hub_what_the_clients_channel_hands_it(
    database: str,
) -> None:
    """All but `ids`, which number a channel's own bindings."""
    await asyncio.to_thread(prepare, database)
    before: list[Payload] = []
    after: list[Payload] = []
    async with serving(database) as url:
        key = make_token("service_role")
        client = AsyncRealtimeClient(url.replace("http", "ws", 1) + "/realtime/v1", key)
        channel = client.channel("calls").on_postgres_changes(
            RealtimePostgresChangesListenEvent.All, cast(Any, before.append), table="calls"
        )
        await channel.subscribe()
        try:
            async with RealtimeHub.from_client(client, timing=QUICK) as hub:
                await hub.subscribe("calls", "*", payloads(after.append))
                await asyncio.to_thread(_write, database)
                await until(lambda: len(before) >= 3 and len(after) >= 3)
        finally:
            await client.close()
    assert [_shape(each) for each in after] == [_shape(each) for each in before]
    assert all(isinstance(each["ids"], list) for each in after)


def _write(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("insert into calls values (1, 'new', 'ñ')")
        conn.execute("update calls set state = 'done' where id = 1")
        conn.execute("delete from calls where id = 1")


def _shape(payload: Payload) -> object:
    """The payload's keys in order, its values, and the class of the event."""
    data = payload["data"]
    return list(payload), list(data), data | {"ids": None}, type(data["type"])
