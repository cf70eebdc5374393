"""A system clock that jumps by an hour moves nobody's place and holds nothing back."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from realtime_hub.ops import init, messages
from tests.faults.ledger import Follower, Ledger, served, until
from tests.support.client import RealtimeClient
from tests.support.gateway import PUBLICATION
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

TOKEN = make_token("anon", lifetime=7 * 24 * 3600)
ROOT = Path(__file__).parents[2]


def jumping(ahead: int = 0) -> dict[str, Any]:
    """Options of a gateway whose clock can be put forward and back."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": path, "CLOCK_AHEAD": str(ahead)}
    return {"program": "tests.faults.jumping", "environment": environment}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("jump", "told"), [(signal.SIGUSR1, "clock 3600"), (signal.SIGUSR2, "clock -3600")]
)
async def test_who_is_here_and_who_comes_back_miss_nothing(
    ledger: Ledger, jump: signal.Signals, told: str
) -> None:
    with served(ledger, **jumping()) as gateway:
        stays = Follower(gateway, TOKEN)
        leaves = [Follower(gateway, TOKEN), Follower(gateway, TOKEN, resume="a-name-of-its-own")]
        for follower in (stays, *leaves):
            await follower.until(lambda f=follower: f.joined)  # type: ignore[misc]
        ledger.write(3)
        for follower in (stays, *leaves):
            await follower.until(lambda f=follower: f.numbers == ledger.committed)  # type: ignore[misc]
        for follower in leaves:
            await follower.stop()
        gateway.signal(jump)
        await until(lambda: told in gateway.log)
        ledger.write(20)
        await stays.until(lambda: stays.numbers == ledger.committed)
        for follower in leaves:
            follower.go_on()
        ledger.write(5)
        for follower in (stays, *leaves):
            await follower.until(lambda f=follower: ledger.committed[-1] in f.numbers)  # type: ignore[misc]
            assert sorted(set(follower.numbers)) == ledger.committed
            assert follower.gaps == []
            await follower.stop()
        assert stays.numbers == leaves[0].numbers == ledger.committed


@pytest.mark.faults
@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_broadcasts_from_the_database_come_where_clocks_differ(
    ledger: Ledger, ahead: int
) -> None:
    await init.apply(ledger.dsn, messages.plan(PUBLICATION))
    with served(ledger, **jumping(ahead)) as gateway:
        client = await RealtimeClient.connect(gateway.url, TOKEN)
        channel = await client.join("room", [])
        with psycopg.connect(ledger.dsn, autocommit=True) as conn:
            conn.execute("""select realtime.send('{"n": 1}', 'greeting', 'room', false)""")
        await client.until(lambda: any(frame.event == "broadcast" for frame in client.frames))
        assert channel.joined
        await client.close()
