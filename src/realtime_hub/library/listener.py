"""One listener: what it needs, how it is called, and what has become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from realtime_hub.changes import TableName
from realtime_hub.errors import ListenerOverflowError, RealtimeHubError
from realtime_hub.library.calling import Backlog, Caller, Reports
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.options import Delivery
from realtime_hub.library.pacing import Pacer
from realtime_hub.library.planner import Need

log = structlog.get_logger(__name__)

UNSERVED: Final = 1 << 60
"""The generation of a listener that no open channel serves yet."""


class Owner(Protocol):
    """What a listener needs of its hub. slow_callback: seconds."""

    slow_callback: float

    def failed(self, listener: Listener, error: Exception, change: Change | None) -> None: ...

    def slow(self) -> None: ...

    def dropped(self) -> None: ...

    def remove(self, listener: Listener) -> None: ...

    def crowded(self, listener: Listener, queue: Backlog, *, full: bool) -> None: ...


class Listener:
    """generation: of the first plan that serves it. active: false once it was removed.

    calls: times that the callback has returned. drops: changes lost to a full queue. slow_calls:
    plain callbacks that held the event loop up.
    """

    __slots__ = (
        "__weakref__",
        "_caller",
        "_name",
        "_owner",
        "_pacer",
        "_refusal",
        "_waiters",
        "active",
        "calls",
        "deliver",
        "drops",
        "errors",
        "generation",
        "need",
        "options",
        "slow_callback",
        "slow_calls",
        "table",
    )

    def __init__(
        self,
        owner: Owner,
        table: TableName,
        need: Need,
        options: Delivery,
        make_caller: Callable[[Reports], Caller],
        *,
        name: str,
    ) -> None:
        self._owner = owner
        self._name = name
        self.table = table
        self.need = need
        self.options = options
        self.generation = UNSERVED
        self.active = True
        self.calls = self.errors = self.drops = self.slow_calls = 0
        self.slow_callback = owner.slow_callback
        self._waiters: list[asyncio.Future[None]] = []
        self._refusal: RealtimeHubError | None = None
        self._caller = make_caller(self)
        self._pacer: Pacer | None = None
        self.deliver: Callable[[Change], None] = self._caller.put
        if options.debounce is not None or options.throttle is not None:
            self._pacer = Pacer(options, self._caller.put)
            self.deliver = self._pacer.offer

    # What a table's channel tells it

    def served(self, generation: int) -> None:
        """A channel that serves this listener is open."""
        self.generation = generation
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def refuse(self, error: RealtimeHubError) -> bool:
        """It can't be served; whether somebody waits for it, and is so told why."""
        self._refusal = error
        awaited = any(not waiter.done() for waiter in self._waiters)
        self.close()
        return awaited

    def gap(self, gap: Gap) -> None:
        if self.options.on_gap is None:
            return
        try:
            self.options.on_gap(gap)
        except Exception as error:  # noqa: BLE001 - the application's own
            self.failed(error, None)

    def close(self) -> None:
        """Call no more; a call that is under way ends by itself."""
        self.active = False
        if self._pacer is not None:
            self._pacer.close()
        self._caller.close()
        self.served(UNSERVED)

    async def stop(self) -> None:
        """Close, and cancel the call that is under way."""
        self.close()
        await self._caller.stop()

    async def handled(self) -> None:
        await self._caller.handled()

    @property
    def queued(self) -> int:
        """Changes that wait for it."""
        return len(self._caller)

    # What its subscription asks

    @property
    def refusal(self) -> RealtimeHubError | None:
        """Why it was removed, if it was not by choice."""
        return self._refusal

    async def wait_served(self) -> None:
        """Return once changes flow, or it was removed. Raises what it was refused with."""
        if self.active and self.generation == UNSERVED:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._refusal is not None:
            raise self._refusal

    # What its caller reports

    def delivered(self) -> None:
        self.calls += 1

    def failed(self, error: Exception, change: Change | None) -> None:
        self.errors += 1
        self._owner.failed(self, error, change)

    def slow(self, change: Change, seconds: float) -> None:
        self.slow_calls += 1
        self._owner.slow()
        log.warning(
            "slow_callback",
            callback=self._name,
            table=str(self.table),
            seconds=round(seconds, 3),
            remedy="pass executor=True, or make it a coroutine function",
        )

    def dropped(self) -> None:
        self.drops += 1
        self._owner.dropped()

    def overflowed(self, error: ListenerOverflowError) -> None:
        self._refusal = error
        self._owner.remove(self)
        self.failed(error, None)

    def crowded(self, queue: Backlog, *, full: bool) -> None:
        self._owner.crowded(self, queue, full=full)

    def __repr__(self) -> str:
        return f"<Listener {self._name} on {self.table}>"
