"""Following who is logged in: refreshed tokens go upstream, signing out cleans up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import structlog

from realtime_hub.errors import RealtimeHubError

log = structlog.get_logger(__name__)

_TOKEN_EVENTS: Final = frozenset(
    {"SIGNED_IN", "TOKEN_REFRESHED", "INITIAL_SESSION", "USER_UPDATED"}
)


class AuthSubscription(Protocol):
    def unsubscribe(self) -> None: ...


class AuthSource(Protocol):
    """The part of supabase's auth client that is used (`client.auth`)."""

    def on_auth_state_change(self, callback: Callable[[Any, Any], None]) -> AuthSubscription: ...


class AuthFollower:
    """Turns the auth client's events into calls, one after the other."""

    def __init__(
        self,
        auth: AuthSource,
        *,
        set_auth: Callable[[str], Awaitable[None]],
        signed_out: Callable[[], Awaitable[None]],
    ) -> None:
        self._set_auth = set_auth
        self._signed_out = signed_out
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()
        self._subscription = auth.on_auth_state_change(self._changed)

    def close(self) -> None:
        """Follow no more; harmless when called again."""
        self._subscription.unsubscribe()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _changed(self, event: Any, session: Any) -> None:
        # Sessions are also refreshed by a timer's thread in some versions of the client.
        self._loop.call_soon_threadsafe(self._start, str(getattr(event, "value", event)), session)

    def _start(self, event: str, session: Any) -> None:
        if event == "SIGNED_OUT":
            work = self._do(self._signed_out())
        elif event in _TOKEN_EVENTS and session is not None:
            work = self._do(self._set_auth(session.access_token))
        else:
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Awaitable[None]) -> None:
        async with self._order:
            try:
                await work
            except (RealtimeHubError, OSError) as error:
                log.warning("auth_not_followed", code=getattr(error, "code", ""), error=str(error))
