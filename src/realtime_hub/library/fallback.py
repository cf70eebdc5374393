"""Polling while a table's channel is down: what an application did before it had changes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

Fetch: TypeAlias = Callable[[], object] | Callable[[], Awaitable[object]]
When: TypeAlias = Literal["down", "always"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """See `every`."""

    interval: float
    fetch: Fetch
    when: When = "down"

    def __post_init__(self) -> None:
        if not self.interval > 0:
            raise ValueError("the interval must be more than 0 seconds")
        if self.when not in ("down", "always"):
            raise ValueError(f"when is 'down' or 'always', not {self.when!r}")


def every(interval: float, fetch: Fetch, *, when: When = "down") -> Fallback:
    """Poll with `fetch` every `interval` seconds while changes do not come.

    fetch: takes nothing; a coroutine function is awaited, a plain one runs in a thread. It is
    called again once changes come after they did not, so that nothing is missed in between.
    when: "always" polls beside the changes too.
    """
    return Fallback(interval, fetch, when)


class Connection(Protocol):
    """Whether a table's channel is up, to be waited for."""

    async def wait_up(self) -> None: ...

    async def wait_down(self) -> None: ...


async def poll(
    fallback: Fallback, connection: Connection, failed: Callable[[Exception], object]
) -> None:
    """Run the fallback until cancelled; what `fetch` raises is handed to `failed`."""
    first = True
    while True:
        if fallback.when == "down" and not first:
            await connection.wait_down()
        polled = await _until_up(fallback, connection, failed)
        # The first connection, if it comes at once, is no return from anything.
        if polled or not first:
            await _fetch(fallback, failed)
        first = False
        if fallback.when == "always":
            await _while_up(fallback, connection, failed)


async def _until_up(
    fallback: Fallback, connection: Connection, failed: Callable[[Exception], object]
) -> int:
    """Poll until changes come; how many times it was."""
    polled = 0
    while not await _within(connection.wait_up(), fallback.interval):
        await _fetch(fallback, failed)
        polled += 1
    return polled


async def _while_up(
    fallback: Fallback, connection: Connection, failed: Callable[[Exception], object]
) -> None:
    while not await _within(connection.wait_down(), fallback.interval):
        await _fetch(fallback, failed)


async def _within(waiting: Awaitable[Any], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return False
    return True


async def _fetch(fallback: Fallback, failed: Callable[[Exception], object]) -> None:
    try:
        if inspect.iscoroutinefunction(fallback.fetch):
            await fallback.fetch()
        else:
            result = await asyncio.to_thread(fallback.fetch)
            if inspect.isawaitable(result):
                await result
    except Exception as error:  # noqa: BLE001 - the application's own, which must not end the polling
        failed(error)
