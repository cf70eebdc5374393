"""Changes as an asynchronous iterator."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from realtime_hub.errors import RealtimeHubError
from realtime_hub.library.calling import Pulled
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Shape
from realtime_hub.library.listener import Listener
from realtime_hub.library.snapshot import RESTARTED
from realtime_hub.library.subscription import Subscription


class StreamRows:
    """Says when a stream's rows come again; a `snapshot.Target`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._begun = False

    def begin(self, shape: Shape | None) -> None:
        if self._begun:
            text = "changes were missed while rows were read: all of them come again"
            self._listener.gap(Gap(self._listener.table, RESTARTED, text))
        self._begun = True

    def complete(self) -> None:
        """What comes next is a change."""


class ChangeStream:
    """`async for change in hub.stream(...)`; ends when the hub is cleaned up.

    It listens from when it is made; `async with` waits until changes flow. Leaving the loop,
    or the block, unsubscribes. Raises SubscriptionError if the table or the filter is refused,
    ListenerOverflowError with overflow `disconnect`.
    """

    def __init__(self, subscription: Subscription, listener: Listener, backlog: Pulled) -> None:
        self._subscription = subscription
        self._listener = listener
        self._backlog = backlog

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        change = await self._backlog.next()
        if change is not None:
            return change
        if self._listener.refusal is not None:
            raise self._listener.refusal
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Unsubscribe; what was not read is dropped. Harmless when called again."""
        self._subscription()

    async def __aenter__(self) -> Self:
        await self._subscription
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # `break` leaves an iterator behind that nobody closes.
        with contextlib.suppress(RealtimeHubError):
            self._subscription()
