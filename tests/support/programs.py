"""Servers of other people, as processes of a test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

PATIENCE = 60.0


@asynccontextmanager
async def program(*command: str, url: str, home: str) -> AsyncIterator[None]:
    """A running server, once this address of it answers; ended with the context."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"HOME": home, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _answering(url, process)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answering(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while True:
            assert process.returncode is None, "the program ended"
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
