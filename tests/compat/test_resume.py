"""The real clients, unmodified, come back to what they missed."""

from __future__ import annotations

import asyncio

import pytest

from tests.compat.conftest import Starter
from tests.compat.driver import Driver, on
from tests.support.places import acknowledged, wal_end
from tests.support.stand import Stand
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.node]

ANON = make_token("anon")
PARAMS = {"resume": "7d0b1c52-compat"}


def ids(client: Driver) -> list[int]:
    return [change.new["id"] for change in client.changes("room")]


def insert(stand: Stand, first: int, last: int) -> None:
    stand.write(f"insert into llamada select generate_series({first}, {last})")


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_client_with_a_resume_name_misses_and_repeats_nothing(
    client: Driver, own_stand: Stand, ending: str
) -> None:
    await client.connect(own_stand.url, ANON, params=PARAMS)
    await client.subscribe("room", on())
    before = wal_end(own_stand.dsn)
    insert(own_stand, 1, 20)
    await client.wait_changes("room", 20)
    if ending == "kill":
        await acknowledged(own_stand.gateway, before)
    await asyncio.to_thread(getattr(own_stand.gateway, ending))
    insert(own_stand, 21, 40)
    own_stand.gateway.start()
    insert(own_stand, 41, 60)
    await client.until(lambda: 60 in ids(client))
    assert ids(client) == list(range(1, 61))


async def test_only_the_last_second_may_come_twice_after_a_kill(
    client: Driver, own_stand: Stand
) -> None:
    await client.connect(own_stand.url, ANON, params=PARAMS)
    await client.subscribe("room", on())
    before = wal_end(own_stand.dsn)
    insert(own_stand, 1, 5)
    await client.wait_changes("room", 5)
    await acknowledged(own_stand.gateway, before)
    insert(own_stand, 6, 10)
    await client.wait_changes("room", 10)
    own_stand.gateway.kill()
    own_stand.gateway.start()
    insert(own_stand, 11, 12)
    await client.until(lambda: 12 in ids(client))
    assert sorted(set(ids(client))) == list(range(1, 13))
    assert ids(client)[:5] == [1, 2, 3, 4, 5]
    assert [n for n in range(1, 13) if ids(client).count(n) > 1] in ([], [6, 7, 8, 9, 10])


async def test_a_client_without_a_name_goes_on_live(client: Driver, own_stand: Stand) -> None:
    await client.connect(own_stand.url, ANON)
    await client.subscribe("room", on())
    await asyncio.to_thread(own_stand.gateway.stop)
    insert(own_stand, 1, 5)
    own_stand.gateway.start()
    await client.subscribed("room", times=2)
    insert(own_stand, 6, 6)
    await client.until(lambda: 6 in ids(client))


async def test_supabase_js_may_ask_for_a_snapshot_in_its_filter(
    start: Starter, own_stand: Stand
) -> None:
    client = await start("js 2.0.0")
    insert(own_stand, 1, 3)
    await client.connect(own_stand.url, ANON)
    await client.subscribe("room", on(snapshot=True))
    await client.wait_system("room", "Snapshot complete")
    insert(own_stand, 4, 4)
    await client.wait_changes("room", 4)
    assert ids(client) == [1, 2, 3, 4]
