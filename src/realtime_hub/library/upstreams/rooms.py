"""A room on the official `realtime` client: a channel with broadcast and presence alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from realtime import AsyncRealtimeChannel, AsyncRealtimeClient
from realtime.message import ReplyPostgresChanges
from realtime.types import RealtimeAcknowledgementStatus, RealtimeSubscribeStates

from realtime_hub.errors import RealtimeHubError, UpstreamError
from realtime_hub.library.ports import RoomOptions, RoomReceiver
from realtime_hub.library.upstreams.failures import connection_error, failure

_JOIN_SECONDS: Final = 15.0
_LEAVE_SECONDS: Final = 2.0


class ClientRoom:
    """One joined topic; a `RoomChannel`. closed: called once it is of no use any more."""

    def __init__(
        self,
        client: AsyncRealtimeClient,
        topic: str,
        options: RoomOptions,
        receiver: RoomReceiver,
        closed: Callable[[ClientRoom], Awaitable[None]],
    ) -> None:
        if f"realtime:{topic}" in client.channels:
            raise UpstreamError(f"the client has a channel {topic!r} already")
        self._client = client
        self._options = options
        self._receiver = receiver
        self._closed = closed
        self._open = False
        self._ended = False
        self._failure: RealtimeHubError | None = None
        config: Any = {
            "broadcast": {"ack": options.ack, "self": options.own},
            "presence": {"key": options.key, "enabled": True},
            "private": options.private,
        }
        self._channel: AsyncRealtimeChannel = client.channel(topic, {"config": config})
        self._channel.on_broadcast("*", self._on_broadcast)
        self._channel.on_presence_sync(self._on_presence)

    async def join(self) -> None:
        """Return once the server has let the channel in; close it if that raises."""
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await self._channel.subscribe(self._on_state)
        except TimeoutError:
            raise UpstreamError(f"no answer to the join within {_JOIN_SECONDS:g} s") from None
        except Exception as error:  # noqa: BLE001 - websockets' and the socket's, of any kind
            raise connection_error(error) from None
        if self._failure is not None:
            raise self._failure
        self._open = True

    async def broadcast(self, event: str, payload: Mapping[str, Any]) -> None:
        message = {"type": "broadcast", "event": event, "payload": payload}
        await self._push("broadcast", message, answered=self._options.ack)

    async def track(self, payload: Mapping[str, Any] | None) -> None:
        event = "untrack" if payload is None else "track"
        await self._push("presence", {"event": event, "payload": payload or {}}, answered=True)

    def presence_state(self) -> dict[str, list[dict[str, Any]]]:
        return {
            key: [dict(meta) for meta in metas]
            for key, metas in self._channel.presence_state().items()
        }

    async def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._open and self._client.is_connected and self._channel.is_joined:
            with suppress(TimeoutError, Exception):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self._channel.unsubscribe()
        self._drop()
        await self._closed(self)

    async def _push(self, event: str, payload: dict[str, Any], *, answered: bool) -> None:
        """Send, and wait for the answer where one comes."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def accepted(_: ReplyPostgresChanges) -> None:
            if not answer.done():
                answer.set_result(None)

        def refused(reply: Any = None) -> None:
            if not answer.done():
                reason = reply.get("reason") if isinstance(reply, dict) else reply
                text = reason or "the server did not answer"
                answer.set_exception(UpstreamError(f"{event}: {text}"))

        push = await self._channel.push(event, payload)
        if not answered:
            # No answer comes, and the client would wait for one.
            self._channel.messages_waiting_for_ack.pop(push.ref or "", None)
            push.destroy()
            return
        push.receive(RealtimeAcknowledgementStatus.Ok, accepted)
        push.receive(RealtimeAcknowledgementStatus.Error, refused)
        push.receive(RealtimeAcknowledgementStatus.Timeout, refused)
        await answer

    def _on_broadcast(self, payload: Any) -> None:
        if not self._ended:
            self._receiver.heard(payload["event"], payload["payload"])

    def _on_presence(self) -> None:
        if not self._ended:
            self._receiver.presence_changed()

    def _on_state(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state is RealtimeSubscribeStates.SUBSCRIBED or self._ended:
            return
        # The room joins again by itself; this channel must not.
        self._channel.rejoin_timer.reset()
        self._failure = failure(state, error)
        if self._open:
            self._open = False
            self._receiver.lost(self._failure)

    def _drop(self) -> None:
        """Forget the channel without a word to the server, and all timers that it has."""
        self._channel.rejoin_timer.reset()
        self._channel.join_push.destroy()
        for push in self._channel.messages_waiting_for_ack.values():
            push.destroy()
        if self._client.channels.get(self._channel.topic) is self._channel:
            del self._client.channels[self._channel.topic]


async def join_room(room: ClientRoom) -> ClientRoom:
    try:
        await room.join()
    except BaseException:
        await room.close()
        raise
    return room
