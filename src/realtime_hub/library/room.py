"""A room: broadcast and presence on a topic, on the hub's own connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Final

import structlog

from realtime_hub.errors import HubMisusedError, RealtimeHubError, TokenError
from realtime_hub.library.ports import RoomChannel, RoomOptions, RoomUpstream
from realtime_hub.sources.backoff import Backoff

log = structlog.get_logger(__name__)

OnBroadcast = Callable[[Mapping[str, Any]], object]

_ANY: Final = "*"


class Room:
    """Made by `RealtimeHub.channel`; joins at once, and again whenever the connection is lost.

    Awaiting it waits until it has joined, and returns it; it raises what refuses the join for
    good, such as a private room that the token may not read.

        room = await hub.channel("room:1")
        room.on_broadcast("cursor", print)
        await room.broadcast("cursor", {"x": 1, "y": 2})
        await room.track({"name": "Ana"})

    Broadcasts that are said while this client is away are lost; presence is made good.
    """

    def __init__(
        self,
        upstream: RoomUpstream,
        topic: str,
        options: RoomOptions,
        *,
        max_retry_delay: float,
        failed: Callable[[Exception], None],
        ended: Callable[[Room], None],
    ) -> None:
        self.topic = topic
        self.options = options
        self._upstream = upstream
        self._failed = failed
        self._ended = ended
        self._backoff = Backoff(maximum=max_retry_delay)
        self._on_broadcast: dict[object, tuple[str, OnBroadcast]] = {}
        self._on_presence: dict[object, Callable[[], object]] = {}
        self._channel: RoomChannel | None = None
        self._tracked: Mapping[str, Any] | None = None
        self._joined = asyncio.Event()
        self._lost = asyncio.Event()
        self._refused: RealtimeHubError | None = None
        self._start()

    @property
    def joined(self) -> bool:
        return self._channel is not None

    def __await__(self) -> Generator[Any, None, Room]:
        return self._wait().__await__()

    # Broadcast

    def on_broadcast(self, event: str, callback: OnBroadcast) -> Callable[[], None]:
        """Call back with the payload of each broadcast of this event, or of every one (`*`).

        The callback runs inline, so it must be quick. Returns what ends it.
        """
        return _registered(self._on_broadcast, (event, callback))

    async def broadcast(self, event: str, payload: Mapping[str, Any]) -> None:
        """Tell the others, once joined. With `ack` it returns when the server has taken it.

        Raises UpstreamError: the server refused it, or did not answer (with `ack`).
        """
        await (await self._ready()).broadcast(event, payload)

    # Presence

    def on_presence(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when somebody comes, changes or goes; `presence_state` tells who is there."""
        return _registered(self._on_presence, callback)

    async def track(self, payload: Mapping[str, Any]) -> None:
        """Show this client to the others, or change what is shown; also after a reconnect.

        Raises UpstreamError: the server refused it.
        """
        self._tracked = dict(payload)
        await (await self._ready()).track(self._tracked)

    async def untrack(self) -> None:
        """Show this client no longer."""
        self._tracked = None
        await (await self._ready()).track(None)

    def presence_state(self) -> dict[str, list[dict[str, Any]]]:
        """Who is there: what each tracks, with its `presence_ref`, by key. Empty while away."""
        return {} if self._channel is None else self._channel.presence_state()

    # Ending

    async def leave(self) -> None:
        """Leave the topic; the hub makes another room when it is asked again."""
        self._ended(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._refuse(HubMisusedError(f"the room {self.topic!r} has been left"))

    def retry_now(self) -> None:
        """The token has changed: what it was refused before, it may get now."""
        if self._task.done() and isinstance(self._refused, TokenError):
            self._refused = None
            self._joined.clear()
            self._start()

    # What the upstream tells it

    def heard(self, event: str, payload: Any) -> None:
        for wanted, callback in tuple(self._on_broadcast.values()):
            if wanted in (_ANY, event):
                self._call(partial(callback, payload))

    def presence_changed(self) -> None:
        for callback in tuple(self._on_presence.values()):
            self._call(callback)

    def lost(self, error: Exception) -> None:
        log.debug("room_lost", topic=self.topic, error=str(error))
        self._lost.set()

    # Inside

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"realtime-hub room {self.topic}")

    async def _run(self) -> None:
        while True:
            try:
                await self._stay()
            except TokenError as error:
                self._refuse(error)
                self._failed(error)
                return
            except (RealtimeHubError, OSError) as error:
                log.debug("room_not_joined", topic=self.topic, error=str(error))
            await asyncio.sleep(self._backoff.next())

    async def _stay(self) -> None:
        """Join, and stay until that is lost."""
        self._lost.clear()
        channel = await self._upstream.enter(self.topic, self.options, self)
        try:
            self._backoff.reset()
            if self._tracked is not None:
                await channel.track(self._tracked)
            self._channel = channel
            self._joined.set()
            await self._lost.wait()
        finally:
            self._channel = None
            self._joined.clear()
            await channel.close()

    async def _wait(self) -> Room:
        await self._ready()
        return self

    async def _ready(self) -> RoomChannel:
        while self._channel is None:
            if self._refused is not None:
                raise self._refused
            await self._joined.wait()
            await asyncio.sleep(0)
        return self._channel

    def _refuse(self, error: RealtimeHubError) -> None:
        self._refused = error
        self._joined.set()

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - an application's own
            self._failed(error)


def _registered(callbacks: dict[object, Any], callback: Any) -> Callable[[], None]:
    key = object()
    callbacks[key] = callback

    def remove() -> None:
        callbacks.pop(key, None)

    return remove
