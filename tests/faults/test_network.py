"""Lines that break without a word, and clients that come and go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.ledger import (
    Ledger,
    confirmed,
    figure,
    following,
    gaps,
    received,
    served,
    until,
    watch,
)
from tests.support.client import RealtimeClient
from tests.support.gateway import Gateway
from tests.support.places import acknowledged, wal_end
from tests.support.proxy import Proxy
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

ANON = make_token("anon")
CONNECTIONS = "realtime_hub_gateway_connections"


async def test_a_database_that_went_deaf_is_connected_to_anew_and_nothing_is_lost(
    ledger: Ledger,
) -> None:
    ledger.server.execute(
        ledger.dsn,
        "create function even(n int) returns boolean stable language plpgsql as"
        " 'begin return n % 2 = 0; end';"
        "alter table libro enable row level security;"
        "create policy p on libro for select using (even(id))",
    )
    async with Proxy(ledger.server.port) as proxy:
        through = ledger.dsn.replace(f":{ledger.server.port}/", f":{proxy.port}/")
        gateway = Gateway(through)
        try:
            await asyncio.to_thread(gateway.start)
            async with following(gateway, ANON) as follower:
                await follower.until(lambda: follower.joined)
                await asyncio.to_thread(ledger.write, 10)
                await follower.until(lambda: len(follower.numbers) == 5)
                proxy.deafen()
                await asyncio.to_thread(ledger.write, 20)
                await follower.until(lambda: len(follower.numbers) == 15)
                assert follower.numbers == [n for n in ledger.committed if n % 2 == 0]
                assert follower.gaps == []
        finally:
            await asyncio.to_thread(gateway.close)


async def test_a_client_whose_line_went_deaf_is_given_up_and_gets_the_rest_when_it_is_back(
    ledger: Ledger,
) -> None:
    with served(ledger, environment={"REALTIME_HUB_IDLE_TIMEOUT": "3"}) as gateway:
        async with Proxy(gateway.port) as proxy:
            url, name = f"http://127.0.0.1:{proxy.port}", "deaf-line-test"
            client = await RealtimeClient.connect(url, ANON, resume=name)
            channel = await client.join("room", [watch()])
            ledger.write(4)
            mark = wal_end(ledger.dsn)
            ledger.write(1)
            await channel.wait_changes(5)
            await acknowledged(gateway, mark)
            proxy.deafen()
            ledger.write(5)
            await until(lambda: figure(gateway, CONNECTIONS) == 0)
            await client.vanish()
            ledger.write(5)
            async with await RealtimeClient.connect(gateway.url, ANON, resume=name) as client:
                channel = await client.join("room", [watch()])
                await channel.wait_changes(10)
                assert received(channel) == ledger.after(5)
                assert gaps(channel) == []


async def test_a_thousand_reconnects_leave_nothing_behind(ledger: Ledger) -> None:
    with served(ledger, slot="reconnects") as gateway:
        async with following(gateway, ANON) as follower:
            await follower.until(lambda: follower.joined)
            ledger.write(1)
            await follower.until(lambda: follower.numbers == [1])
            await reconnect(gateway, follower.cursor or "", times=100)
            before = Holdings(gateway)
            for _ in range(10):
                writing = asyncio.create_task(asyncio.to_thread(ledger.write, 20))
                await reconnect(gateway, follower.cursor or "", times=100)
                await writing
            await follower.until(lambda: follower.numbers == ledger.committed)
            await until(lambda: figure(gateway, CONNECTIONS) == 1)
            await until(lambda: Holdings(gateway).descriptors <= before.descriptors + 2)
            assert figure(gateway, "realtime_hub_replaying") == 0
            assert Holdings(gateway).memory <= before.memory + (16 << 20)
            end = confirmed(ledger, "reconnects")
            ledger.write(1)
            await until(lambda: confirmed(ledger, "reconnects") > end)


async def reconnect(gateway: Gateway, since: str, *, times: int) -> None:
    """Ten at once: each joins, and vanishes or leaves in order."""

    async def come_and_go(number: int) -> None:
        for turn in range(times // 10):
            client = await RealtimeClient.connect(gateway.url, ANON)
            channel = await client.join(f"room{number}", [watch(since=since)])
            assert channel.joined
            await (client.vanish() if turn % 2 else client.close())

    await asyncio.gather(*(come_and_go(number) for number in range(10)))


class Holdings:
    """What the process has: open descriptors, and bytes of memory."""

    def __init__(self, gateway: Gateway) -> None:
        assert gateway.process is not None
        place = Path(f"/proc/{gateway.process.pid}")
        self.descriptors = len(list((place / "fd").iterdir()))
        self.memory = int((place / "statm").read_text().split()[1]) * 4096
