"""What a joined channel says in its room: limits are kept, and what is left becomes effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_hub.errors import (
    ClientPresenceRateError,
    PayloadSizeError,
    TooManyMessagesError,
    TooManyPresenceCallsError,
)
from realtime_hub.gateway.effects import Effect, Publish, Send, Track, Untrack
from realtime_hub.gateway.limits import GatewaySettings, RateWindow, SharedLimits
from realtime_hub.hub.presence import content_of
from realtime_hub.wire import joins, phoenix
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.phoenix import Message, Version

# A bare string, as the real server has it; supabase-py, on version 1.0.0, reads objects alone.
_TOO_LARGE = {
    Version.V1: joins.error_reply("payload_size_exceeded"),
    Version.V2: {"status": "error", "response": "payload_size_exceeded"},
}
_NO_MAP = joins.error_reply("Presence track payload must be a map")
_UNKNOWN = joins.error_reply("Unknown presence event")
_DENIED = joins.error_reply("You do not have permissions to show presence in this Channel")


class Talk:
    """Of one connection. Both methods raise a RoomLimitError, which ends the channel."""

    def __init__(self, version: Version, settings: GatewaySettings, shared: SharedLimits) -> None:
        self._version = version
        self._settings = settings
        self._shared = shared
        self._messages = RateWindow(settings.max_messages_per_second)

    def new_presence_window(self) -> RateWindow:
        """Counts the presence calls of one channel."""
        window = self._settings.presence_call_window
        return RateWindow(self._settings.max_presence_calls / window, window)

    def broadcast(
        self, message: Message, broadcast: Broadcast, now: float, *, ack: bool
    ) -> list[Effect]:
        """A broadcast that is too large is dropped, and nobody is told unless `ack` is set."""
        if not (self._messages.allow(now) and self._shared.messages.allow(now)):
            raise TooManyMessagesError
        if broadcast.size > self._settings.max_broadcast_bytes:
            self._shared.reached[PayloadSizeError.code] += 1
            return [Send(self._reply(message, _TOO_LARGE[self._version]))] if ack else []
        done = self._reply(message, joins.ok_reply()) if ack else None
        return [Publish(message.topic, broadcast, done)]

    def presence(self, message: Message, calls: RateWindow, now: float) -> list[Effect]:
        if not calls.allow(now):
            raise ClientPresenceRateError
        event = message.payload.get("event")
        match event.lower() if isinstance(event, str) else event:
            case "untrack":
                return [Untrack(message.topic), Send(self._reply(message, joins.ok_reply()))]
            case "track":
                return self._track(message, now)
        return [Send(self._reply(message, _UNKNOWN))]

    def _track(self, message: Message, now: float) -> list[Effect]:
        payload = message.payload.get("payload", {})
        if not isinstance(payload, dict):
            return [Send(self._reply(message, _NO_MAP))]
        content = content_of(payload)
        if len(content) > self._settings.max_broadcast_bytes:
            raise PayloadSizeError
        if not self._shared.presence.allow(now):
            raise TooManyPresenceCallsError
        done, refused = self._reply(message, joins.ok_reply()), self._reply(message, _DENIED)
        return [Track(message.topic, content, done, refused)]

    def _reply(self, message: Message, payload: Mapping[str, Any]) -> bytes:
        reply = Message(message.join_ref, message.ref, message.topic, "phx_reply", payload)
        return phoenix.websocket_frame(phoenix.encode(reply, self._version))
