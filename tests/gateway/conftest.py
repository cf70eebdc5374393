"""A gateway over parts made for tests, and clients that end with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.parts import Stand, standing
from tests.gateway.talking import ANA, Connecting
from tests.support.client import RealtimeClient


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with standing() as stand:
        yield stand


@pytest.fixture
async def connect(stand: Stand) -> AsyncIterator[Connecting]:
    opened: list[RealtimeClient] = []

    async def connecting(version: str = "2.0.0", token: str = ANA) -> RealtimeClient:
        client = await RealtimeClient.connect(stand.url, token, version=version)
        opened.append(client)
        return client

    yield connecting
    for client in opened:
        await client.close()
