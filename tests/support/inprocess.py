"""The gateway inside the test's own event loop: quicker to start than a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from realtime_hub.compose import Service
from realtime_hub.settings import Settings
from tests.support.gateway import PUBLICATION
from tests.support.tokens import SECRET

READY_WITHIN = 60.0


@asynccontextmanager
async def serving(database_url: str, **settings: Any) -> AsyncIterator[str]:
    """A ready gateway for this database; yields its URL."""
    chosen = {
        "database_url": database_url,
        "jwt_secret": SECRET,
        "publication": PUBLICATION,
        # Slots belong to the server, not to a database.
        "slot": f"hub_{database_url.rpartition('/')[2]}",
        "port": 0,
        "log": "memory",
        "catalog_connections": 2,
        "authorization_connections": 2,
        **settings,
    }
    service = Service(Settings.load(**chosen))
    running: asyncio.Task[None] | None = None
    try:
        await service.start()
        running = asyncio.create_task(service.run())
        url = f"http://127.0.0.1:{service.port}"
        await _ready(url, running)
        yield url
        if running.done():
            await running
    finally:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await service.stop()


async def _ready(url: str, running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(READY_WITHIN), aiohttp.ClientSession() as session:
        while not running.done():
            async with session.get(f"{url}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.01)
    await running
    raise AssertionError("the gateway ended before it was ready")
