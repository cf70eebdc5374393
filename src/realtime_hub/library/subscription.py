"""What `subscribe` returns: call it to unsubscribe, await it to know that changes flow."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from realtime_hub.library.listener import Listener


class Subscription:
    """Call it to unsubscribe, once or many times.

    Awaiting it waits until changes flow, and returns it; it raises SubscriptionError if the
    table or the filter is refused.

        unsubscribe = await hub.subscribe("llamadas_ventas", "INSERT", on_call)
        ...
        unsubscribe()
    """

    __slots__ = ("_listener", "_remove")

    def __init__(self, listener: Listener, remove: Callable[[Listener], None]) -> None:
        self._listener = listener
        self._remove = remove

    @property
    def active(self) -> bool:
        """False once unsubscribed, refused, or removed by its overflow rule."""
        return self._listener.active

    @property
    def calls(self) -> int:
        """Times that the callback has returned."""
        return self._listener.calls

    @property
    def drops(self) -> int:
        """Changes lost to a full queue, as the overflow rule says."""
        return self._listener.drops

    @property
    def errors(self) -> int:
        """Errors that the callback raised."""
        return self._listener.errors

    def __call__(self) -> None:
        self._remove(self._listener)

    def __await__(self) -> Generator[Any, None, Subscription]:
        return self._wait().__await__()

    async def _wait(self) -> Subscription:
        await self._listener.wait_served()
        return self

    def __repr__(self) -> str:
        return f"<Subscription {self._listener.table} {'active' if self.active else 'ended'}>"
