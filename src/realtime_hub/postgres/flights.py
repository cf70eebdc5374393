"""Questions that many ask at the same time, asked once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Shares the answer to a question among all who ask it within a short time.

    ask: answers a key. ttl: seconds for which an answer is given again, counted from when
    the question was asked. final: an error of this kind is an answer too; after any other
    the next caller asks again. At most `size` answers are kept.
    """

    def __init__(
        self,
        ask: Callable[[K], Awaitable[V]],
        *,
        ttl: float,
        final: type[Exception] | tuple[()] = (),
        size: int = 1000,
    ) -> None:
        self._ask = ask
        self._ttl = ttl
        self._final = final
        self._size = size
        self._flights: dict[K, tuple[float, asyncio.Task[V]]] = {}

    async def get(self, key: K) -> V:
        """The answer. Cancelling a caller does not disturb the others."""
        now = asyncio.get_running_loop().time()
        expires, task = self._flights.get(key, (0.0, None))
        if task is None or (task.done() and (expires <= now or not self._answered(task))):
            task = asyncio.create_task(self._run(key))
            # Whoever asked may be gone by then, and asyncio warns of errors nobody looked at.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._flights.pop(key, None)
            self._flights[key] = now + self._ttl, task
            self._forget(now)
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Ask anew next time; who waits for an answer still gets it."""
        self._flights.pop(key, None)

    async def _run(self, key: K) -> V:
        return await self._ask(key)

    def _answered(self, task: asyncio.Task[V]) -> bool:
        if task.cancelled():
            return False
        error = task.exception()
        return error is None or isinstance(error, self._final)

    def _forget(self, now: float) -> None:
        """Drop what has expired, and the oldest answers beyond `size`; keys are in order."""
        for key, (expires, task) in list(self._flights.items()):
            if len(self._flights) <= self._size and (expires > now or not task.done()):
                break
            if task.done():
                del self._flights[key]
