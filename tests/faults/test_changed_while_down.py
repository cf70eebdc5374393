"""What changes under a gateway that is down is said when it is back, never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, cursor, gaps, live_again, received, served, watch
from tests.support.client import RealtimeClient
from tests.support.gateway import PUBLICATION, Gateway
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
NAME = "5d1f6b3e-down-test"


async def come(gateway: Gateway, **options: str) -> RealtimeClient:
    return await RealtimeClient.connect(gateway.url, ANON, **options)


def make_the_slot_anew(ledger: Ledger, gateway: Gateway) -> None:
    slot = f"hub_{gateway.port}"
    ledger.server.execute(ledger.dsn, f"select pg_drop_replication_slot('{slot}')")
    ledger.write(1)
    ledger.server.execute(
        ledger.dsn, f"select pg_create_logical_replication_slot('{slot}', 'pgoutput')"
    )


def make_the_publication_anew(ledger: Ledger, gateway: Gateway) -> None:
    ledger.server.execute(ledger.dsn, f"drop publication {PUBLICATION}")
    ledger.write(1)
    ledger.server.execute(ledger.dsn, f"create publication {PUBLICATION} for table libro")


def delete_the_log(ledger: Ledger, gateway: Gateway) -> None:
    for path in gateway.log_path.parent.glob("changes.sqlite*"):
        path.unlink()


def flip_bits_of(name: str) -> Callable[[Ledger, Gateway], None]:
    def flip(ledger: Ledger, gateway: Gateway) -> None:
        path: Path = gateway.log_path.parent / name
        data = bytearray(path.read_bytes())
        for place in range(4096, len(data), 97):
            data[place] ^= 0x10
        path.write_bytes(data)

    return flip


@pytest.mark.faults
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(make_the_slot_anew, "EpochEnded", id="the slot is made anew"),
        pytest.param(make_the_publication_anew, "EpochEnded", id="the publication is made anew"),
        pytest.param(delete_the_log, "CursorUnreadable", id="the log is deleted"),
        pytest.param(flip_bits_of("changes.sqlite"), None, id="bits of the log are flipped"),
    ],
)
async def test_a_cursor_from_before_is_answered_with_a_gap(
    ledger: Ledger, change: Callable[[Ledger, Gateway], None], reason: str | None
) -> None:
    with served(ledger) as gateway:
        async with await come(gateway) as client:
            channel = await client.join("room", [watch()])
            ledger.write(200)
            await channel.wait_changes(200)
            since = channel.changes[0]["cursor"]
        await asyncio.to_thread(gateway.stop)
        change(ledger, gateway)
        gateway.start()
        async with await come(gateway) as client:
            channel = await client.join("room", [watch(since=since)])
            told = await channel.wait_system("ok", "Gap")
            assert reason in (None, told["gap"]["reason"])
            await live_again(ledger, channel)
            came = received(channel)
            assert came == sorted(set(came))
            assert set(came) <= set(ledger.committed)


@pytest.mark.faults
async def test_flipped_bits_in_the_clients_places_are_a_gap(ledger: Ledger) -> None:
    with served(ledger) as gateway:
        async with await come(gateway, resume=NAME) as client:
            channel = await client.join("room", [watch()])
            ledger.write(5)
            await channel.wait_changes(5)
            await asyncio.to_thread(gateway.stop)
        ledger.write(1)
        flip_bits_of("changes.sqlite.clients")(ledger, gateway)
        gateway.start()
        async with await come(gateway, resume=NAME) as client:
            for _ in range(3):
                next(client._refs)  # as one that has sent messages over earlier connections
            channel = await client.join("room", [watch()])
            await channel.wait_system("ok", "Gap")
            assert [gap["reason"] for gap in gaps(channel)] == ["ResumeUnknown"]
            ledger.write(1)
            await channel.wait_changes(1)
            assert received(channel) == [7]


async def test_a_standby_takes_over_without_a_lost_or_repeated_change(ledger: Ledger) -> None:
    with served(ledger, slot="rolling") as old:
        shared = ("--log", str(old.log_path.parent / "changes.sqlite"))
        new = Gateway(ledger.dsn, slot="rolling", arguments=shared)
        try:
            async with await come(old) as client:
                channel = await client.join("room", [watch()])
                new.start(wait=False)
                ledger.write(20)
                await channel.wait_changes(20)
                writing = asyncio.create_task(asyncio.to_thread(ledger.write, 200))
                await asyncio.to_thread(old.stop)
                assert await client.wait_closed() == 1012
                before, since = received(channel), cursor(channel)
            await asyncio.to_thread(new.wait_ready)
            await writing
            async with await come(new) as client:
                channel = await client.join("room", [watch(since=since)])
                ledger.write(1)
                await channel.wait_changes(221 - len(before))
                assert before + received(channel) == ledger.committed
                assert gaps(channel) == []
        finally:
            await asyncio.to_thread(new.close)
