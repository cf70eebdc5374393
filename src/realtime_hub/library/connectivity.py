"""Whether a table's changes flow, and when that is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime_hub.changes import TableName
from realtime_hub.library.status import State, Status


class Connectivity:
    """Tells each new state once; going down only after `grace` seconds, if it has lasted."""

    def __init__(self, table: TableName, grace: float, told: Callable[[Status], object]) -> None:
        self.state = State.CONNECTING
        self._table = table
        self._grace = grace
        self._told = told
        self._error: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._down.set()

    async def wait_up(self) -> None:
        await self._up.wait()

    async def wait_down(self) -> None:
        await self._down.wait()

    def came_up(self) -> None:
        self._cancel()
        self._enter(State.CONNECTED)

    def went_down(self, error: Exception) -> None:
        self._error = error
        if self.state is State.CONNECTED and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._grace, self._stayed_down)

    def refused(self, error: Exception) -> None:
        self._cancel()
        self._enter(State.REFUSED, error)

    def close(self) -> None:
        """Nobody listens any more; a refusal stays what it is."""
        self._cancel()
        if self.state is not State.REFUSED:
            self._enter(State.CLOSED)

    def _stayed_down(self) -> None:
        self._timer = None
        self._enter(State.DISCONNECTED, self._error)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _enter(self, state: State, error: Exception | None = None) -> None:
        if state is self.state:
            return
        self.state = state
        set_now, clear_now = self._down, self._up
        if state is State.CONNECTED:
            set_now, clear_now = clear_now, set_now
        set_now.set()
        clear_now.clear()
        self._told(Status(self._table, state, error))
