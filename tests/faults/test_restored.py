"""A database that goes back in time: what clients were told may not have happened any more."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.faults.ledger import Ledger, cursor, gaps, keeping, live_again, received, served, watch
from tests.support.client import RealtimeClient
from tests.support.postgres import Server
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

ANON = make_token("anon")


@pytest.fixture
def own() -> Iterator[Ledger]:
    """A ledger on a server of the test's own."""
    with Server() as server, keeping(server) as ledger:
        yield ledger


class Backup:
    """What the server's directory holds, or what pg_basebackup takes of it."""

    def __init__(self, server: Server, kind: str) -> None:
        self._server = server
        self._place = server.data.with_name("backup")
        if kind == "pg_basebackup":
            server.back_up(self._place)
        else:
            server.halt()
            subprocess.run(["cp", "-a", server.data, self._place], check=True)
            server.resume()

    def restore(self) -> None:
        server = self._server
        server.halt()
        shutil.rmtree(server.data)
        self._place.rename(server.data)
        server.resume()


def nothing_more(ledger: Ledger) -> None:
    """The WAL ends before the place that was confirmed."""


def other_changes(ledger: Ledger) -> None:
    """The WAL ends behind that place, with other changes in it."""
    ledger.write(100, size=500)


@pytest.mark.parametrize("kind", ["files", "pg_basebackup"])
@pytest.mark.parametrize("since_then", [nothing_more, other_changes])
async def test_a_restored_backup_is_a_gap(
    own: Ledger, kind: str, since_then: Callable[[Ledger], None]
) -> None:
    with served(own) as gateway:
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            own.write(5)
            await channel.wait_changes(5)
        await asyncio.to_thread(gateway.stop)
        backup = await asyncio.to_thread(Backup, own.server, kind)
        gateway.start()
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            own.write(20)
            await channel.wait_changes(20)
            since = cursor(channel)
        await asyncio.to_thread(gateway.stop)
        await asyncio.to_thread(backup.restore)
        since_then(own)
        gateway.start()
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch(since=since)])
            await channel.wait_system("ok", "Gap")
            assert gaps(channel)[0]["reason"] in ("EpochEnded", "SlotLost")
            await live_again(own, channel)
            assert received(channel) == sorted(set(received(channel)))
