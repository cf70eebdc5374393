"""One WebSocket connection: runs its session, executes the effects, and cleans up behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import WSMsgType, web

from realtime_hub.errors import (
    ChannelPolicyError,
    DatabaseUnreachableError,
    FrameError,
    JoinError,
    ProjectUnreachableError,
    TokenError,
    TokenExpiredError,
)
from realtime_hub.gateway.census import ConnectionReport, channel_report
from realtime_hub.gateway.channel import RemoteChannel, all_refusals, hub_bindings
from realtime_hub.gateway.effects import (
    Close,
    Effect,
    LeaveChannel,
    Publish,
    Release,
    Send,
    SendUnlessJoined,
    StartJoin,
    StartVerify,
    Track,
    Untrack,
)
from realtime_hub.gateway.entry import Entry
from realtime_hub.gateway.limits import CloseCode, GatewaySettings
from realtime_hub.gateway.metrics import GatewayMetrics
from realtime_hub.gateway.outbox import Flusher, Outbox
from realtime_hub.gateway.places import Places
from realtime_hub.gateway.ports import Admission, TokenVerifier
from realtime_hub.gateway.resume import ResumeBook
from realtime_hub.gateway.seats import RoomServices, Seats
from realtime_hub.gateway.session import Refusals, Session, State
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire.broadcast import decode_push
from realtime_hub.wire.cursor import Cursors
from realtime_hub.wire.joins import JoinRequest
from realtime_hub.wire.phoenix import Opcode, Version, decode, websocket_frame

log = structlog.get_logger(__name__)

_LONGEST_TIMER: Final = 300.0
"""Seconds after which an expiry is looked at again, however far off it seemed: clocks jump."""

_CLOSE_LATER: Final = 0.5
"""Seconds in which a client that leaves a topic and joins it at once is not told of its end."""

_BROKEN: Final = ProjectUnreachableError()


@dataclass(frozen=True, slots=True)
class Services:
    """What all connections of a gateway share."""

    settings: GatewaySettings
    membership: Admission
    tokens: TokenVerifier
    metrics: GatewayMetrics
    flusher: Flusher
    rooms: RoomServices
    cursors: Cursors
    resumes: ResumeBook


class Connection:
    """One client's connection, from the accepted handshake to its end.

    resume: the name under which the client's places are kept, if it gave one.

    Every join runs in a task of its own, so that one that waits holds up nothing else; the
    connection owns these tasks and cancels them when it ends.
    """

    def __init__(
        self,
        services: Services,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        *,
        version: Version,
        token: str,
        identity: Identity,
        resume: str | None = None,
    ) -> None:
        self._services = services
        self._ws = ws
        self._transport = transport
        self._version = version
        self._loop = asyncio.get_running_loop()
        self._verified = (token, identity)
        self._session = Session(
            version, services.settings, token=token, shared=services.rooms.limits
        )
        self._outbox = Outbox(
            transport,
            services.flusher,
            limit=services.settings.max_queued_bytes,
            on_overflow=self._too_slow,
        )
        self.seats = Seats(services.rooms, version, self._outbox, end=self._shut_channel)
        self._channels: dict[str, RemoteChannel] = {}
        self._places = None if resume is None else Places(resume, services.resumes, self._replaced)
        self._entry = Entry(services.membership, services.cursors, self._places)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._peer_code: int | None = None
        self.last_inbound = self._loop.time()
        self.finished = asyncio.Event()

    @property
    def channels(self) -> int:
        return len(self._channels)

    @property
    def queued_bytes(self) -> int:
        return self._outbox.waiting

    def report(self) -> ConnectionReport:
        """Who listens to what, at this moment."""
        requests = [(topic, self._session.request(topic)) for topic in self._channels]
        channels = tuple(
            channel_report(topic, request.bindings, private=request.private)
            for topic, request in requests
        )
        identity = self._verified[1]
        return ConnectionReport(
            "websocket", identity.role, identity.subject, self._outbox.waiting, channels
        )

    async def run(self) -> None:
        """Serve until either side closes. Cancellation ends the connection at once."""
        try:
            await self._receive()
        finally:
            self._dispose()
            self._ended.set()
            if self._closing is not None:
                await self._closing
            elif self._peer_code is not None:
                await self._ws.close(code=self._peer_code)
            if self._places is not None:
                self._places.release()
            self.finished.set()

    def close(self, code: CloseCode, reason: str) -> None:
        """Send what is queued, then close; returns at once. Later calls do nothing."""
        if self._closing is None:
            self._outbox.close()
            content = code.to_bytes(2, "big") + reason.encode()
            self._transport.write(websocket_frame(content, Opcode.CLOSE))
            self._closing = self._loop.create_task(
                self._shut(code, self._entry.given(self._channels))
            )

    def ping(self) -> None:
        """Have the client say what it has got; nothing happens if it can't resume."""
        if self._places is not None and self._closing is None:
            channels = self._channels.items()
            sent = {topic: c.given for topic, c in channels if c.given is not None}
            frame = self._places.ping(self._entry.given(self._channels), sent, self._loop.time())
            if frame is not None:
                self._outbox.put(frame)

    def drain(self) -> None:
        """Tell the client to come back later, and close."""
        self._apply(self._session.drain())

    # Inbound

    async def _receive(self) -> None:
        while True:
            message = await self._ws.receive()
            self.last_inbound = self._loop.time()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self._take(message.data, binary=message.type is WSMsgType.BINARY)
                case WSMsgType.PING:
                    self._outbox.put(websocket_frame(bytes(message.data), Opcode.PONG))
                case WSMsgType.PONG:
                    if self._places is not None:
                        self._places.pong(bytes(message.data))
                case WSMsgType.CLOSE:
                    self._peer_code = message.data
                    return
                case _:
                    return

    def _take(self, data: bytes, *, binary: bool) -> None:
        metrics = self._services.metrics
        metrics.frames_received += 1
        session, now = self._session, self._loop.time()
        try:
            if binary:
                effects = session.receive_push(decode_push(data, self._version), now)
            else:
                message = decode(data, self._version)
                if self._places is not None:
                    self._places.note_ref(message.ref)
                effects = session.receive(message, now)
        except FrameError as error:
            # Dropped, as the real server does; the connection stays.
            metrics.frames_malformed += 1
            log.debug("frame_dropped", reason=error.reason)
            return
        self._apply(effects)

    # Effects

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send() | SendUnlessJoined():
                    self._send(effect)
                case StartJoin():
                    self._prepare(effect.topic, effect.request)
                    self._start(effect, self._join(effect))
                case Release(topic):
                    self._channels[topic].release()
                    self.seats.release(topic, self._session.join_ref(topic))
                case Publish() | Track() | Untrack():
                    self.seats.perform(effect, self._session.join_ref(effect.topic))
                case StartVerify():
                    self._start(effect, self._verify(effect))
                case LeaveChannel(topic, asked_for):
                    self._leave(topic)
                    if asked_for and self._places is not None:
                        self._places.forget(topic)
                case Close(code, reason):
                    self.close(code, reason)

    def _send(self, effect: Send | SendUnlessJoined) -> None:
        if isinstance(effect, Send):
            self._outbox.put(effect.frame)
        else:
            self._loop.call_later(_CLOSE_LATER, self._send_unless_joined, effect)

    def _send_unless_joined(self, effect: SendUnlessJoined) -> None:
        if self._session.state(effect.topic) is State.LEFT:
            self._outbox.put(effect.frame)

    def _prepare(self, topic: str, request: JoinRequest) -> None:
        """A re-join keeps its channel, so that it misses nothing, unless frames change shape.

        In its room it is somebody new.
        """
        self.seats.leave(topic)
        channel = self._channels.get(topic)
        if channel is not None and channel.legacy != request.legacy:
            self._leave(topic)
            channel = None
        if channel is None:
            channel = self._channels[topic] = RemoteChannel(
                topic,
                self._version,
                self._verified[1],
                self._outbox,
                self._services.metrics,
                cursor=self._services.cursors.write,
                legacy=request.legacy,
                held_limit=self._services.settings.max_queued_bytes,
            )
        channel.hold()

    def _start(self, effect: StartJoin | StartVerify, work: Coroutine[Any, Any, None]) -> None:
        topic = effect.topic
        earlier = self._tasks.pop(topic, None)
        if earlier is not None:
            earlier.cancel()
        task = self._tasks[topic] = self._loop.create_task(work)

        def ended(task: asyncio.Task[None]) -> None:
            if self._tasks.get(topic) is task:
                del self._tasks[topic]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("join_broke", topic=topic, exc_info=error)
                self._fail(effect)

        task.add_done_callback(ended)

    def _fail(self, effect: StartJoin | StartVerify) -> None:
        if isinstance(effect, StartJoin):
            self._conclude(self._session.join_refused(effect.topic, effect.attempt, _BROKEN))
            self._services.metrics.joins[_BROKEN.code] += 1
        else:
            reason = f"{_BROKEN.code}: {_BROKEN}"
            self._conclude(self._session.failed(effect.topic, effect.attempt, reason))

    def _conclude(self, effects: list[Effect]) -> None:
        self._apply(effects)
        self._arm_expiry()

    # Joins and tokens

    async def _join(self, effect: StartJoin) -> None:
        session, metrics = self._session, self._services.metrics
        channel = self._channels[effect.topic]
        try:
            identity = await self._identify(effect.token)
            await self.seats.admit(effect.topic, identity, effect.request)
            refusals = await self._entry.admit(channel, identity, effect.request)
        except (TokenError, JoinError) as error:
            metrics.joins[error.code] += 1
            self._conclude(session.join_refused(effect.topic, effect.attempt, error))
        except DatabaseUnreachableError as error:
            log.warning("join_failed", topic=effect.topic, code=error.code)
            self._fail(effect)
        else:
            metrics.joins["ok"] += 1
            self._count_refusals(refusals)
            self._conclude(
                session.join_accepted(effect.topic, effect.attempt, refusals, identity.expires_at)
            )

    async def _verify(self, effect: StartVerify) -> None:
        session, membership = self._session, self._services.membership
        channel = self._channels[effect.topic]
        request = session.request(effect.topic)
        try:
            identity = await self._identify(effect.token)
            await self.seats.reauthorize(effect.topic, identity)
            channel.identity = identity
            outcomes = await membership.reauthorize(channel) if hub_bindings(request) else []
        except TokenError as error:
            self._conclude(session.token_refused(effect.topic, effect.attempt, error))
        except (ChannelPolicyError, DatabaseUnreachableError) as error:
            log.warning("token_change_failed", topic=effect.topic, code=error.code)
            self._fail(effect)
        else:
            refusals = all_refusals(request, outcomes)
            self._conclude(
                session.token_accepted(effect.topic, effect.attempt, refusals, identity.expires_at)
            )

    async def _identify(self, token: str) -> Identity:
        """Verify a token; the last one that held is known, since channels share theirs."""
        known, identity = self._verified
        now = time.time()
        if token != known:
            identity = await self._services.tokens.verify(token, now)
            self._verified = (token, identity)
        elif identity.expires_at <= now:
            raise TokenExpiredError(int(now - identity.expires_at))
        return identity

    def _replaced(self) -> None:
        self.close(CloseCode.REPLACED, "A newer connection resumes in place of this one")

    def _count_refusals(self, refusals: Refusals) -> None:
        for refusal in refusals:
            if refusal is not None:
                self._services.metrics.refusals[refusal.code] += 1

    # Expiry

    def _arm_expiry(self) -> None:
        """One timer for the earliest expiry of all channels."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        due = self._session.next_expiry
        if due != float("inf") and self._closing is None:
            delay = min(max(0.0, due - time.time()), _LONGEST_TIMER)
            self._expiry = self._loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._conclude(self._session.expire(time.time()))

    # The end

    def _leave(self, topic: str) -> None:
        task = self._tasks.pop(topic, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self.seats.leave(topic)
        channel = self._channels.pop(topic, None)
        if channel is not None:
            channel.mute()
            self._services.membership.leave(channel)

    def _shut_channel(self, topic: str, reason: str) -> None:
        self._conclude(self._session.shut(topic, reason))

    def _too_slow(self) -> None:
        log.info("client_too_slow", queued=self._transport.get_write_buffer_size())
        self.close(CloseCode.TOO_SLOW, "Too slow: reconnect to go on")

    async def _shut(self, code: CloseCode, given: Mapping[str, Position]) -> None:
        """Wait for the peer's part of the closing handshake; one that does not read is cut off.

        A peer that answers with our code has read all that came before. Another code is that
        of a peer which closes by itself, and may have left something unread.
        """
        try:
            async with asyncio.timeout(self._services.settings.close_timeout):
                await self._ended.wait()
        except TimeoutError:
            pass
        if self._places is not None and self._peer_code == code:
            self._places.acknowledge(given)
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def _dispose(self) -> None:
        """Leave everything. Never awaits, so that no cancellation can cut it short."""
        self._outbox.close()
        if self._expiry is not None:
            self._expiry.cancel()
        for topic in list(self._channels):
            self._leave(topic)
        for task in self._tasks.values():
            task.cancel()
