"""Waiting for what one looks at, never for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 60.0


async def until(fact: Callable[[], object]) -> None:
    """Wait until the fact holds.

    Raises:
        TimeoutError: it does not within PATIENCE seconds.
    """
    async with asyncio.timeout(PATIENCE):
        while not fact():  # noqa: ASYNC110 - nothing tells when it comes about
            await asyncio.sleep(0.002)
