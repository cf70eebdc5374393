"""Every long-running task has an owner: when one ends that must not, the process is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

log = structlog.get_logger(__name__)


class Supervisor:
    """Owns the parts that run as long as the process does.

    A part that ends by itself, with or without an error, ends `wait`: a process that lives on
    without one of its parts would look healthy and deliver nothing.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, part: Coroutine[object, object, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(part, name=name))

    async def wait(self) -> None:
        """Return when a part has ended; raises what it raised."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            log.error("part_ended", part=task.get_name(), error=error and str(error))
            if error is not None:
                raise error

    async def stop(self) -> None:
        """Cancel all parts and wait for them; errors that were not seen are logged."""
        for task in self._tasks:
            task.cancel()
        for task, result in zip(
            self._tasks, await asyncio.gather(*self._tasks, return_exceptions=True), strict=True
        ):
            if isinstance(result, Exception):
                log.warning("part_failed", part=task.get_name(), error=str(result))
        self._tasks.clear()
