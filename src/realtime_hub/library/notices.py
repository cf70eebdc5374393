"""Who is told what happens in a hub, and how often it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from realtime_hub.errors import RealtimeHubError
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.listener import Listener
from realtime_hub.library.options import OnError, OnGap
from realtime_hub.library.status import Status

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Notices:
    """The hub's own callbacks; none of them can do harm.

    errors: raised by callbacks. slow_calls: that held the event loop up. drops: changes lost to
    full queues.
    """

    def __init__(self) -> None:
        self.errors = self.slow_calls = self.drops = 0
        self._on_status: dict[object, Callable[[Status], object]] = {}
        self._on_gap: dict[object, OnGap] = {}
        self._on_error: dict[object, OnError] = {}

    # Who wants to know; each returns what ends it

    def on_status(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        return _registered(self._on_status, callback)

    def on_gap(self, callback: OnGap) -> Callable[[], None]:
        return _registered(self._on_gap, callback)

    def on_error(self, callback: OnError) -> Callable[[], None]:
        return _registered(self._on_error, callback)

    def clear(self) -> None:
        """Nobody wants to know any more, and nothing has happened."""
        for callbacks in (self._on_status, self._on_gap, self._on_error):
            callbacks.clear()
        self.errors = self.slow_calls = self.drops = 0

    # What happens

    def status(self, status: Status) -> None:
        log.debug("table_status", table=str(status.table), state=status.state.value)
        self._tell(self._on_status, status)

    def gap(self, gap: Gap) -> None:
        log.warning("gap", table=str(gap.table), reason=gap.reason, message=gap.message)
        self._tell(self._on_gap, gap)

    def failed(self, listener: Listener, error: Exception, change: Change | None) -> None:
        """Of a listener's callback."""
        self.errors += 1
        self._report(listener, error, change)

    def refused(self, listener: Listener, error: RealtimeHubError) -> None:
        """A listener is removed, and nobody waits for it."""
        self._report(listener, error, None)

    def room_failed(self, error: Exception) -> None:
        """Of a room's callback, or of its join, for good."""
        self.errors += 1
        for handler in tuple(self._on_error.values()):
            handler(error, None)
        if not self._on_error:
            log.error("room_failed", exc_info=error)

    def _tell(self, callbacks: dict[object, Callable[[T], object]], fact: T) -> None:
        for callback in tuple(callbacks.values()):
            try:
                callback(fact)
            except Exception:
                self.errors += 1
                log.exception("callback_failed", callback=repr(callback))

    def _report(self, listener: Listener, error: Exception, change: Change | None) -> None:
        handlers = list(self._on_error.values())
        if listener.options.on_error is not None:
            handlers = [listener.options.on_error]
        for handler in handlers:
            try:
                handler(error, change)
            except Exception:
                self.errors += 1
                log.exception("on_error_failed")
        if handlers:
            return
        if isinstance(error, RealtimeHubError):
            log.error(
                "listener_removed", listener=repr(listener), code=error.code, error=str(error)
            )
        else:
            log.error("listener_failed", listener=repr(listener), exc_info=error)


def _registered(callbacks: dict[object, T], callback: T) -> Callable[[], None]:
    key = object()
    callbacks[key] = callback

    def remove() -> None:
        callbacks.pop(key, None)

    return remove
