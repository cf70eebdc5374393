"""How a callback is called: inline, or from a bounded queue, one change at a time.

A callback that raises harms nobody: its error is reported with the change.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Executor
from typing import Protocol, TypeAlias

from realtime_hub.errors import ListenerOverflowError
from realtime_hub.library.change import Change
from realtime_hub.library.options import Callback, Delivery, Overflow, is_async

Run: TypeAlias = Callable[[Change], Awaitable[None]]


class Reports(Protocol):
    """Where a caller tells what happened. slow_callback: seconds, see `slow`."""

    slow_callback: float

    def delivered(self) -> None: ...

    def failed(self, error: Exception, change: Change | None) -> None: ...

    def slow(self, change: Change, seconds: float) -> None: ...

    def dropped(self) -> None: ...

    def overflowed(self, error: ListenerOverflowError) -> None: ...

    def crowded(self, queue: Backlog, *, full: bool) -> None: ...


class Inline:
    """Calls a plain callable where the change is dispatched."""

    __slots__ = ("_callback", "_closed", "_reports")

    def __init__(self, callback: Callable[[Change], object], reports: Reports) -> None:
        self._callback = callback
        self._reports = reports
        self._closed = False

    def put(self, change: Change) -> None:
        if self._closed:
            return
        reports = self._reports
        started = time.perf_counter()
        try:
            result = self._callback(change)
        except Exception as error:  # noqa: BLE001 - the application's own
            reports.failed(error, change)
            return
        reports.delivered()
        took = time.perf_counter() - started
        if took > reports.slow_callback:
            reports.slow(change, took)
        if result is not None:
            _reject_awaitable(result, change, reports)

    def close(self) -> None:
        self._closed = True

    async def stop(self) -> None:
        """Nothing is left behind by an inline call."""

    async def handled(self) -> None:
        """What was put has been handled."""

    def __len__(self) -> int:
        """Nothing ever waits."""
        return 0


class Backlog:
    """At most `max_queue` changes that wait for a listener, and the rule for when it is full."""

    def __init__(self, options: Delivery, reports: Reports) -> None:
        self._limit = options.max_queue
        self._overflow = Overflow(options.overflow)
        self._key_of = options.key_of
        self._reports = reports
        self._waiting: OrderedDict[int, Change] = OrderedDict()
        self._by_key: dict[Hashable, int] = {}
        self._last = 0
        self._handling: int | None = None
        self._moved: asyncio.Event | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, change: Change) -> None:
        """Take a change; what gives way to it is told by the listener's overflow rule."""
        if self._closed or not self._make_room(change):
            return
        self._last += 1
        self._waiting[self._last] = change
        if self._key_of is not None:
            self._by_key[self._key_of(change)] = self._last
        if len(self._waiting) == self._limit and self._overflow is Overflow.BLOCK:
            self._reports.crowded(self, full=True)
        self._arrived()

    def close(self) -> None:
        """Take and give no more."""
        self._closed = True
        self._waiting.clear()
        self._by_key.clear()
        self._progressed()

    async def stop(self) -> None:
        """Close, and leave nothing running."""
        self.close()

    async def room(self) -> None:
        """Wait until the queue is no longer full."""
        while len(self._waiting) >= self._limit:
            await self._movement()

    async def handled(self) -> None:
        """Wait until all that was put so far has been handled or dropped."""
        last = self._last
        while self._oldest() <= last:
            await self._movement()

    def _arrived(self) -> None:
        """Something waits that did not before."""

    def _take(self) -> Change:
        """The oldest change, which counts as being handled until `_finished`."""
        self._handling, change = self._waiting.popitem(last=False)
        if self._key_of is not None and self._by_key.get(key := self._key_of(change)) == (
            self._handling
        ):
            del self._by_key[key]
        self._progressed()
        return change

    def _finished(self) -> None:
        self._handling = None
        self._progressed()

    def _make_room(self, change: Change) -> bool:
        """Whether there is a place for the change now."""
        full = len(self._waiting) >= self._limit
        if self._key_of is not None and (full or self._overflow is not Overflow.COALESCE):
            replaced = self._by_key.pop(self._key_of(change), None)
            if replaced is not None and self._waiting.pop(replaced, None) is not None:
                return True
        if not full or self._overflow is Overflow.BLOCK:
            return True
        if self._overflow is Overflow.DISCONNECT:
            self._reports.overflowed(ListenerOverflowError(self._limit))
            return False
        self._waiting.popitem(last=False)
        self._reports.dropped()
        return True

    def _oldest(self) -> float:
        """Sequence number of the oldest change that is not handled yet."""
        if self._handling is not None:
            return self._handling
        return next(iter(self._waiting), float("inf"))

    def _progressed(self) -> None:
        if self._overflow is Overflow.BLOCK and len(self._waiting) < self._limit:
            self._reports.crowded(self, full=False)
        if self._moved is not None:
            self._moved.set()
            self._moved = None

    async def _movement(self) -> None:
        if self._moved is None:
            self._moved = asyncio.Event()
        await self._moved.wait()


class Queued(Backlog):
    """A backlog that is worked off by calling a coroutine function, or an executor.

    The worker is a task that lives while something waits, so an idle listener costs none.
    """

    def __init__(self, run: Run, options: Delivery, reports: Reports) -> None:
        super().__init__(options, reports)
        self._run = run
        self._worker: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Close, and cancel the call that is under way, unless it is what asks for it."""
        self.close()
        worker = self._worker
        if worker is not None and worker is not asyncio.current_task():
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    def _arrived(self) -> None:
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="realtime-hub listener")

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._call(self._take())
                self._finished()
        finally:
            self._worker = None
            self._finished()

    async def _call(self, change: Change) -> None:
        try:
            await self._run(change)
        except Exception as error:  # noqa: BLE001 - the application's own
            self._reports.failed(error, change)
        else:
            self._reports.delivered()


class Pulled(Backlog):
    """A backlog that its reader takes from when it likes."""

    def __init__(self, options: Delivery, reports: Reports) -> None:
        super().__init__(options, reports)
        self._ready = asyncio.Event()

    async def next(self) -> Change | None:
        """The next change, which has been handled once the one after it is asked for; None
        once closed."""
        if self._handling is not None:
            self._finished()
            self._reports.delivered()
        while not self._waiting:
            if self._closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._take()

    def close(self) -> None:
        super().close()
        self._ready.set()

    def _arrived(self) -> None:
        self._ready.set()


Caller: TypeAlias = Inline | Backlog


def caller_for(callback: Callback, options: Delivery, reports: Reports) -> Caller:
    """Raises ValueError for a coroutine function with an executor."""
    if is_async(callback):
        if options.executor is not None:
            raise ValueError(
                "executor= is for plain callables; this callback is a coroutine function"
            )
        return Queued(callback, options, reports)  # type: ignore[arg-type]
    if options.executor is None:
        return Inline(callback, reports)
    executor = None if options.executor is True else options.executor
    return Queued(_in_executor(callback, executor, reports), options, reports)


def _in_executor(
    callback: Callable[[Change], object], executor: Executor | None, reports: Reports
) -> Run:
    async def run(change: Change) -> None:
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(executor, callback, change)
        if result is not None:
            _reject_awaitable(result, change, reports)

    return run


def _reject_awaitable(result: object, change: Change, reports: Reports) -> None:
    """A plain function that returns a coroutine was meant to be awaited, and was not."""
    if not hasattr(type(result), "__await__"):
        return
    if asyncio.iscoroutine(result):
        result.close()
    reports.failed(
        TypeError("the callback returned an awaitable; subscribe an `async def` instead"), change
    )
