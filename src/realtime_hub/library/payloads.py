"""Handlers that were written for the official client, which hands over the payload alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from realtime_hub.library.change import Change
from realtime_hub.library.options import Callback, is_async


def payloads(handler: Callable[[dict[str, Any]], object]) -> Callback:
    """A callback that hands a handler `change.payload`, as supabase-py does: for handlers that
    are to stay as they are.

        hub.subscribe("llamadas_ventas", "INSERT", payloads(on_call))

    handler: a plain callable, whose result is let go as supabase-py lets it go (a task that it
    starts, say), or a coroutine function, which is awaited; supabase-py never runs those.
    """
    if is_async(handler):

        async def call_async(change: Change) -> None:
            await handler(change.payload)  # type: ignore[misc]

        return _named_as(handler, call_async)

    def call(change: Change) -> None:
        handler(change.payload)

    return _named_as(handler, call)


def _named_as(handler: Callable[..., object], call: Callback) -> Callback:
    """The hub's reports and statistics tell callbacks by name."""
    return functools.update_wrapper(call, handler)
