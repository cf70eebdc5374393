"""Which web pages may connect, when the operator has said so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.badinput.conftest import ANON
from tests.badinput.rawsocket import RawSocket
from tests.support.gateway import PUBLICATION, Gateway
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres

ALLOWED = "https://app.example.com"


@pytest.fixture(scope="module")
def gateway(postgres: Server) -> Iterator[Gateway]:
    """A gateway that one origin alone may use."""
    dsn = postgres.new_database()
    postgres.execute(dsn, f"create publication {PUBLICATION} for all tables")
    environment = {"REALTIME_HUB_ALLOWED_ORIGINS": f'["{ALLOWED}"]'}
    with Gateway(dsn, environment=environment) as gateway:
        yield gateway
    postgres.drop_database(dsn)


async def _status(gateway: Gateway, headers: dict[str, str]) -> int:
    async with await RawSocket.open(gateway.url) as raw:
        return (await raw.handshake(ANON, headers=headers)).status


async def test_the_allowed_origin_may_connect(gateway: Gateway) -> None:
    assert await _status(gateway, {"Origin": ALLOWED}) == 101


async def test_what_is_no_browser_sends_no_origin_and_may_connect(gateway: Gateway) -> None:
    assert await _status(gateway, {}) == 101


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://app.example.com@evil.example",
        "https://app.example.com/",
        "*",
    ],
)
async def test_any_other_origin_is_refused(gateway: Gateway, origin: str) -> None:
    assert await _status(gateway, {"Origin": origin}) == 403
