"""The hub for scripts and threads: its event loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from realtime_hub.errors import HubMisusedError
from realtime_hub.library.change import Change
from realtime_hub.library.status import HubStatistics

if TYPE_CHECKING:
    from realtime_hub.library.hub import RealtimeHub
    from realtime_hub.library.stream import ChangeStream

T = TypeVar("T")


class SyncRealtimeHub:
    """`with RealtimeHub.sync("postgresql://...") as hub:`; everything ends with the block.

    Methods may be called from any thread, but not from the hub's own callbacks' event loop.
    Callbacks run in one thread of the hub's, one at a time.
    """

    def __init__(self, make: Callable[[], RealtimeHub]) -> None:
        self._make = make
        self._hub: RealtimeHub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._callbacks: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._loop is not None:
            raise HubMisusedError("the hub is running already")
        self._hub = self._make()
        self._loop = asyncio.new_event_loop()
        self._callbacks = ThreadPoolExecutor(1, thread_name_prefix="realtime-hub-callback")
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="realtime-hub", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        hub, loop, thread, callbacks = self._running()
        try:
            self._run(hub.cleanup())
            hub.forget()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            callbacks.shutdown(cancel_futures=True)
            self._hub = self._loop = self._thread = self._callbacks = None

    def subscribe(
        self,
        table: str | tuple[str, str],
        events: str | Iterable[str],
        callback: Callable[[Change], object],
        **options: Any,
    ) -> Callable[[], None]:
        """Return once changes flow; options as `RealtimeHub.subscribe` has them.

        Raises SubscriptionError for a table or filter that is refused.
        """
        hub, _, _, callbacks = self._running()
        options.setdefault("executor", callbacks)

        async def subscribe() -> Callable[[], None]:
            return await hub.subscribe(table, events, callback, **options)

        unsubscribe = self._run(subscribe())

        async def remove() -> None:
            unsubscribe()

        return lambda: self._run(remove()) if self._loop is not None else None

    def stream(
        self, table: str | tuple[str, str], events: str | Iterable[str] = "*", **options: Any
    ) -> Iterator[Change]:
        """The changes of a table from here on; wait for them with `for`.

        Listens once this returns. Ends with the block; leaving the loop unsubscribes.
        """
        hub, *_ = self._running()

        async def listen() -> ChangeStream:
            return await hub.stream(table, events, **options).__aenter__()

        stream = self._run(listen())

        def changes() -> Iterator[Change]:
            ended = False
            try:
                while self._loop is not None:
                    change = self._run(anext(stream, None))
                    ended = change is None
                    if change is None:
                        return
                    yield change
            finally:
                # What the end of the block has ended must not be waited for again.
                if not ended and self._loop is not None:
                    self._run(stream.aclose())

        return changes()

    def is_connected(self, table: str | tuple[str, str]) -> bool:
        """Whether the table's changes flow."""
        return self._running()[0].is_connected(table)

    def statistics(self) -> HubStatistics:
        hub, *_ = self._running()

        async def statistics() -> HubStatistics:
            return hub.statistics()

        return self._run(statistics())

    def set_auth(self, token: str | None) -> None:
        """Read with another token from now on."""
        self._run(self._running()[0].set_auth(token))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        _, loop, thread, _ = self._running()
        if threading.current_thread() is thread:
            work.close()
            raise HubMisusedError("this is the hub's own event loop: use RealtimeHub there")
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def _running(
        self,
    ) -> tuple[RealtimeHub, asyncio.AbstractEventLoop, threading.Thread, ThreadPoolExecutor]:
        if (
            self._hub is None
            or self._loop is None
            or self._thread is None
            or self._callbacks is None
        ):
            raise HubMisusedError("use it as a context manager: with RealtimeHub.sync(...) as hub:")
        return self._hub, self._loop, self._thread, self._callbacks
