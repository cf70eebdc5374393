"""What the real clients do when the gateway goes and comes back."""

from __future__ import annotations

import pytest

from tests.compat.driver import Driver, on
from tests.support.stand import Stand
from tests.support.tokens import make_token

pytestmark = [pytest.mark.postgres, pytest.mark.node]

ANON = make_token("anon")


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_client_rejoins_and_receives_after_the_gateway_was_restarted(
    client: Driver, own_stand: Stand, ending: str
) -> None:
    await client.connect(own_stand.url, ANON)
    await client.subscribe("room", on())
    own_stand.write("insert into llamada values (1)")
    await client.wait_changes("room", 1)
    getattr(own_stand.gateway, ending)()
    own_stand.gateway.start()
    await client.subscribed("room", times=2)
    own_stand.write("insert into llamada values (2)")
    await client.until(lambda: 2 in {c.new["id"] for c in client.changes("room")})
    assert "CLOSED" not in client.statuses("room")


async def test_a_client_keeps_its_channel_while_postgres_restarts(
    client: Driver, own_stand: Stand
) -> None:
    await client.connect(own_stand.url, ANON)
    await client.subscribe("room", on())
    own_stand.server.restart("fast")
    own_stand.write("insert into llamada values (1)")
    await client.until(lambda: 1 in {c.new["id"] for c in client.changes("room")})
    assert "CLOSED" not in client.statuses("room")
