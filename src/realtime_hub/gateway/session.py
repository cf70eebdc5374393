"""The protocol state of one connection: messages and outcomes go in, effects come out.

No socket, no clock and no await: whoever runs a session executes the effects in order and
reports how the work they started has ended. Two rules make the table below enough:

1. A channel's state changes only along `TRANSITIONS`; what has no entry there is answered
   without changing anything, or, for outcomes of work that was given up, ignored.
2. Work is numbered. An outcome counts only for the attempt that its channel is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from realtime_hub.errors import (
    JoinError,
    NotServedError,
    PrivateOnlyError,
    RealtimeHubError,
    RoomLimitError,
    SubscriptionError,
    TokenError,
    TokenExpiredError,
    TooManyChannelsError,
    TooManyJoinsError,
    TopicNameRequiredError,
)
from realtime_hub.gateway.effects import (
    Close,
    Effect,
    LeaveChannel,
    Release,
    Send,
    SendUnlessJoined,
    StartJoin,
    StartVerify,
)
from realtime_hub.gateway.limits import CloseCode, GatewaySettings, RateWindow, SharedLimits
from realtime_hub.gateway.talk import Talk
from realtime_hub.wire import joins, phoenix
from realtime_hub.wire.broadcast import EVENT, Broadcast, Push, from_payload
from realtime_hub.wire.joins import JoinRequest
from realtime_hub.wire.phoenix import Message, Version

VERIFY_GRACE: Final = 30.0
"""Seconds past its token's expiry that a channel lives while a newer token is being verified."""


class State(Enum):
    """Of a topic on this connection."""

    LEFT = "left"
    JOINING = "joining"
    JOINED = "joined"


class Event(Enum):
    """What happens to a topic: messages of the client, then outcomes of the work they started."""

    JOIN = "phx_join"
    LEAVE = "phx_leave"
    TOKEN = "access_token"  # noqa: S105
    JOIN_ACCEPTED = "join accepted"
    JOIN_REFUSED = "join refused"
    TOKEN_ACCEPTED = "token accepted"  # noqa: S105
    TOKEN_REFUSED = "token refused"  # noqa: S105
    FAILED = "failed"
    EXPIRED = "expired"
    SHUT = "shut"


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.LEFT, Event.JOIN): State.JOINING,
    (State.JOINING, Event.JOIN): State.JOINING,
    (State.JOINED, Event.JOIN): State.JOINING,
    (State.LEFT, Event.LEAVE): State.LEFT,
    (State.JOINING, Event.LEAVE): State.LEFT,
    (State.JOINED, Event.LEAVE): State.LEFT,
    (State.JOINING, Event.TOKEN): State.JOINING,
    (State.JOINED, Event.TOKEN): State.JOINED,
    (State.JOINING, Event.JOIN_ACCEPTED): State.JOINED,
    (State.JOINING, Event.JOIN_REFUSED): State.LEFT,
    (State.JOINED, Event.TOKEN_ACCEPTED): State.JOINED,
    (State.JOINED, Event.TOKEN_REFUSED): State.LEFT,
    (State.JOINED, Event.FAILED): State.LEFT,
    (State.JOINED, Event.EXPIRED): State.LEFT,
    (State.JOINED, Event.SHUT): State.LEFT,
}


Refusals: TypeAlias = Sequence[SubscriptionError | None]


@dataclass(slots=True, eq=False)
class _Channel:
    """A topic that is joined or being joined.

    told: refusals that the client knows of. A refused binding is reported as an error once:
    supabase-py answers each error by joining again, which must not go on for ever.
    """

    topic: str
    state: State = State.LEFT
    attempt: int = 0
    join_ref: str | None = None
    reply_to: Message | None = None
    request: JoinRequest = field(default_factory=JoinRequest)
    token: str = field(default="", repr=False)
    next_token: str | None = field(default=None, repr=False)
    expires_at: float = float("inf")
    told: frozenset[str] = frozenset()
    presence_calls: RateWindow | None = None


class Session:
    """One connection.

    token: what the connection was opened with; joins that bring none use it. shared: what this
    connection takes its part of. Expiry times are seconds since the Unix epoch, as in a token's
    `exp`; messages come with a monotonic time.
    """

    def __init__(
        self,
        version: Version,
        settings: GatewaySettings,
        *,
        token: str,
        shared: SharedLimits | None = None,
    ) -> None:
        self._version = version
        self._settings = settings
        self._token = token
        self._channels: dict[str, _Channel] = {}
        self._joins = RateWindow(settings.max_joins_per_second)
        self._shared = SharedLimits(settings) if shared is None else shared
        self._room = Talk(version, settings, self._shared)
        self._attempts = 0

    @property
    def topics(self) -> list[str]:
        return list(self._channels)

    def state(self, topic: str) -> State:
        channel = self._channels.get(topic)
        return State.LEFT if channel is None else channel.state

    def join_ref(self, topic: str) -> str | None:
        """Of the topic's last join: pushes that belong to that instance carry it."""
        return self._channels[topic].join_ref

    def request(self, topic: str) -> JoinRequest:
        """What the topic's last join asked for."""
        return self._channels[topic].request

    # Messages

    def receive(self, message: Message, now: float) -> list[Effect]:
        """Take one message of the client; `now` is monotonic."""
        match message.event:
            case "heartbeat" if message.topic == "phoenix":
                return [self._reply(message, joins.ok_reply())]
            case "phx_join":
                return self._join(message, now)
            case "phx_leave":
                return self._leave(message)
        channel = self._channels.get(message.topic)
        if channel is None:
            return [self._reply(message, joins.error_reply("unmatched topic"))]
        match message.event:
            case "access_token":
                return self._take_token(channel, message.payload.get("access_token"))
            case "broadcast":
                return self._talk(channel, message, from_payload(message.payload), now)
            case "presence":
                return self._talk(channel, message, None, now)
        return [self._refuse(message, NotServedError("this event"))]

    def _join(self, message: Message, now: float) -> list[Effect]:
        topic = message.topic
        if not topic.startswith(joins.TOPIC_PREFIX):
            return [self._reply(message, joins.error_reply("unmatched topic"))]
        if not (self._joins.allow(now) and self._shared.joins.allow(now)):
            error = TooManyJoinsError(self._settings.max_joins_per_second)
            self._shared.reached[error.code] += 1
            return [self._refuse(message, error), Close(CloseCode.GOING_AWAY, str(error))]
        try:
            request = self._request(message)
        except JoinError as error:
            return [self._refuse(message, error)]
        channel = self._channels.setdefault(topic, _Channel(topic))
        self._move(channel, Event.JOIN)
        channel.join_ref = message.join_ref or message.ref
        channel.reply_to, channel.request, channel.next_token = message, request, None
        channel.token = self._token if _says_nothing(request.access_token) else _text(request)
        return [StartJoin(topic, self._new_attempt(channel), request, channel.token)]

    def _request(self, message: Message) -> JoinRequest:
        topic, settings = message.topic, self._settings
        if topic == joins.TOPIC_PREFIX:
            raise TopicNameRequiredError
        limit = settings.max_channels_per_connection
        if topic not in self._channels and len(self._channels) >= limit:
            raise TooManyChannelsError(limit)
        request = joins.parse_join(
            topic, message.payload, max_bindings=settings.max_bindings_per_channel
        )
        if settings.private_only and not request.private:
            raise PrivateOnlyError
        return request

    def _leave(self, message: Message) -> list[Effect]:
        reply = self._reply(message, joins.ok_reply())
        channel = self._channels.get(message.topic)
        if channel is None:
            return [reply]
        if message.join_ref is not None and message.join_ref != channel.join_ref:
            return [reply]  # meant for an instance that a later join has replaced
        effects = self._end(channel, Event.LEAVE)
        close = self._push(channel, "phx_close", {}, both_refs=True)
        if self._version is Version.V1:
            # supabase-py goes by topic alone: it would take this for the end of a channel that
            # it has made anew since. Other clients of this version wait for it.
            return [effects[0], reply, SendUnlessJoined(channel.topic, close.frame)]
        return [effects[0], reply, close]

    def _take_token(self, channel: _Channel, token: object) -> list[Effect]:
        if not isinstance(token, str) or _says_nothing(token) or token == channel.token:
            return []
        self._move(channel, Event.TOKEN)
        if channel.next_token == token:
            return []
        channel.next_token = token
        if channel.state is State.JOINING:
            return []  # its turn comes when the join has ended
        return [self._verify(channel, token)]

    # Rooms

    def receive_push(self, push: Push, now: float) -> list[Effect]:
        """Take a broadcast that came as a binary frame; `now` is monotonic."""
        message = Message(push.join_ref, push.ref, push.topic, EVENT, {})
        channel = self._channels.get(push.topic)
        if channel is None:
            return [self._reply(message, joins.error_reply("unmatched topic"))]
        return self._talk(channel, message, push.broadcast, now)

    def _talk(
        self, channel: _Channel, message: Message, broadcast: Broadcast | None, now: float
    ) -> list[Effect]:
        """A broadcast, or a call of presence."""
        if channel.state is not State.JOINED:
            return [self._reply(message, joins.error_reply("unmatched topic"))]
        try:
            if broadcast is not None:
                ack = channel.request.broadcast_ack
                return self._room.broadcast(message, broadcast, now, ack=ack)
            if channel.presence_calls is None:
                channel.presence_calls = self._room.new_presence_window()
            return self._room.presence(message, channel.presence_calls, now)
        except RoomLimitError as error:
            self._shared.reached[error.code] += 1
            return self._end_with_reason(channel, Event.SHUT, str(error))

    def shut(self, topic: str, reason: str) -> list[Effect]:
        """The channel is over for good, and its client is told why."""
        channel = self._channels.get(topic)
        if channel is None or (channel.state, Event.SHUT) not in TRANSITIONS:
            return []
        return self._end_with_reason(channel, Event.SHUT, reason)

    # Outcomes

    def join_accepted(
        self, topic: str, attempt: int, refusals: Refusals, expires_at: float
    ) -> list[Effect]:
        """The topic's bindings are live, but for those refused (aligned with the request)."""
        channel = self._on_attempt(topic, attempt, Event.JOIN_ACCEPTED)
        if channel is None or channel.reply_to is None:
            return []
        self._move(channel, Event.JOIN_ACCEPTED)
        channel.expires_at = expires_at
        reply = self._reply(channel.reply_to, joins.join_reply(channel.request))
        effects: list[Effect] = [reply, Release(topic), *self._report(channel, refusals)]
        if channel.next_token is not None:
            effects.append(self._verify(channel, channel.next_token))
        return effects

    def join_refused(self, topic: str, attempt: int, error: RealtimeHubError) -> list[Effect]:
        """The join failed; the client will try again."""
        channel = self._on_attempt(topic, attempt, Event.JOIN_REFUSED)
        if channel is None or channel.reply_to is None:
            return []
        reply = self._refuse(channel.reply_to, error)
        return [*self._end(channel, Event.JOIN_REFUSED), reply]

    def token_accepted(
        self, topic: str, attempt: int, refusals: Refusals, expires_at: float
    ) -> list[Effect]:
        """The newer token holds, and the bindings were checked again under its identity."""
        channel = self._on_attempt(topic, attempt, Event.TOKEN_ACCEPTED)
        if channel is None or channel.next_token is None:
            return []
        self._move(channel, Event.TOKEN_ACCEPTED)
        channel.token, channel.next_token = channel.next_token, None
        channel.expires_at = expires_at
        return self._report(channel, refusals)

    def token_refused(self, topic: str, attempt: int, error: TokenError) -> list[Effect]:
        """The newer token does not hold: the channel is over for good."""
        channel = self._on_attempt(topic, attempt, Event.TOKEN_REFUSED)
        if channel is None:
            return []
        return self._end_with_reason(channel, Event.TOKEN_REFUSED, str(error))

    def failed(self, topic: str, attempt: int, reason: str) -> list[Effect]:
        """Something that may pass went wrong: the client shall join again."""
        channel = self._on_attempt(topic, attempt, Event.FAILED)
        if channel is None:
            return []
        error = self._push(channel, "phx_error", {"reason": reason}, both_refs=True)
        return [*self._end(channel, Event.FAILED), error]

    # Time

    @property
    def next_expiry(self) -> float:
        """When `expire` has something to do; infinity if never."""
        return min((_deadline(channel) for channel in self._channels.values()), default=_NEVER)

    def expire(self, now: float) -> list[Effect]:
        """End the channels whose token has expired; `now` is Unix time."""
        effects: list[Effect] = []
        for channel in list(self._channels.values()):
            if _deadline(channel) <= now:
                error = TokenExpiredError(max(0, int(now - channel.expires_at)))
                effects += self._end_with_reason(channel, Event.EXPIRED, str(error))
        return effects

    def drain(self) -> list[Effect]:
        """Tell every channel that this server stops, and close."""
        text = "Server requested disconnect"
        told = [self._system(c, "system", text, ok=True) for c in self._channels.values()]
        return [*told, Close(CloseCode.SERVICE_RESTART, text)]

    # The parts of an answer

    def _report(self, channel: _Channel, refusals: Refusals) -> list[Effect]:
        """Say which bindings are live and which are not, an error at most once each."""
        texts = {
            joins.refusal_text(binding, refusal): None
            for binding, refusal in zip(channel.request.bindings, refusals, strict=True)
            if refusal is not None
        }
        effects: list[Effect] = []
        if any(refusal is None for refusal in refusals):
            effects.append(self._changes_system(channel, "Subscribed to PostgreSQL", ok=True))
        for text in texts:
            if text in channel.told:
                effects.append(self._changes_system(channel, f"Still refused: {text}", ok=True))
            else:
                effects.append(self._changes_system(channel, text, ok=False))
        channel.told = frozenset(texts)
        return effects

    def _end_with_reason(self, channel: _Channel, event: Event, text: str) -> list[Effect]:
        return [
            *self._end(channel, event),
            self._system(channel, "system", text, ok=False),
            self._push(channel, "phx_close", {}, both_refs=True),
        ]

    def _end(self, channel: _Channel, event: Event) -> list[Effect]:
        self._move(channel, event)
        del self._channels[channel.topic]
        return [LeaveChannel(channel.topic, asked_for=event is Event.LEAVE)]

    def _verify(self, channel: _Channel, token: str) -> StartVerify:
        return StartVerify(channel.topic, self._new_attempt(channel), token)

    def _new_attempt(self, channel: _Channel) -> int:
        self._attempts += 1
        channel.attempt = self._attempts
        return channel.attempt

    def _on_attempt(self, topic: str, attempt: int, event: Event) -> _Channel | None:
        """The channel that an outcome is meant for; None if the work was given up."""
        channel = self._channels.get(topic)
        if channel is None or channel.attempt != attempt:
            return None
        return channel if (channel.state, event) in TRANSITIONS else None

    @staticmethod
    def _move(channel: _Channel, event: Event) -> None:
        channel.state = TRANSITIONS[channel.state, event]

    def _reply(self, message: Message, payload: dict[str, Any]) -> Send:
        return self._send(message.join_ref, message.ref, message.topic, "phx_reply", payload)

    def _refuse(self, message: Message, error: RealtimeHubError) -> Send:
        return self._reply(message, joins.error_reply(f"{error.code}: {error}"))

    def _changes_system(self, channel: _Channel, text: str, *, ok: bool) -> Send:
        return self._system(channel, "postgres_changes", text, ok=ok)

    def _system(self, channel: _Channel, extension: str, text: str, *, ok: bool) -> Send:
        payload = joins.system_payload(channel.topic, extension, text, ok=ok)
        return self._push(channel, "system", payload)

    def _push(
        self, channel: _Channel, event: str, payload: dict[str, Any], *, both_refs: bool = False
    ) -> Send:
        """A push that belongs to this instance of the channel.

        Phoenix gives `phx_close` and `phx_error` the join_ref as their ref too.
        """
        join_ref = channel.join_ref
        ref = join_ref if both_refs else None
        return self._send(join_ref, ref, channel.topic, event, payload)

    def _send(
        self, join_ref: str | None, ref: str | None, topic: str, event: str, payload: dict[str, Any]
    ) -> Send:
        message = Message(join_ref, ref, topic, event, payload)
        return Send(phoenix.websocket_frame(phoenix.encode(message, self._version)))


_NEVER: Final = float("inf")


def _deadline(channel: _Channel) -> float:
    if channel.state is not State.JOINED:
        return _NEVER  # the join itself finds the token expired
    grace = 0.0 if channel.next_token is None else VERIFY_GRACE
    return channel.expires_at + grace


def _says_nothing(token: str | None) -> bool:
    """Publishable and secret keys are no JWT: the connection's identity stays."""
    return not token or token.startswith("sb_")


def _text(request: JoinRequest) -> str:
    return request.access_token or ""
