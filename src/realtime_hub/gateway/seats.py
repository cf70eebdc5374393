"""The seats of one connection: its channels as members of rooms.

A seat is taken when the join is admitted and hears from then on, but what it hears waits until
the join's reply is queued. In private rooms the policies are asked; what a seat says while its
right to write is being asked for waits in turn, so that the order of a sender holds.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from realtime_hub.errors import (
    ChannelPolicyError,
    ChannelUnauthorizedError,
    DatabaseUnreachableError,
    ReadRevokedError,
    ReplayError,
)
from realtime_hub.gateway.effects import Publish, Track, Untrack
from realtime_hub.gateway.limits import SharedLimits
from realtime_hub.gateway.outbox import Outbox
from realtime_hub.hub.ports import ChannelPolicies, ChannelRights, Extension, KeptMessages
from realtime_hub.hub.posts import RoomName
from realtime_hub.hub.rooms import Rooms
from realtime_hub.identity import Identity
from realtime_hub.wire import joins
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.joins import JoinRequest
from realtime_hub.wire.phoenix import Message, Version, encode, push_affixes, websocket_frame

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 500
"""What one seat may say while its right to is being asked for; what comes beyond is dropped."""

_ALL: Final = ChannelRights(broadcast=True, presence=True)
_READY_POLL: Final = 0.5
_READY_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class RoomServices:
    """What the seats of all connections share.

    ready: whether the database's stream is read. held_limit: bytes that one seat may hear before
    its join is answered; what comes beyond is dropped.
    """

    rooms: Rooms
    policies: ChannelPolicies
    messages: KeptMessages
    limits: SharedLimits
    ready: Callable[[], bool]
    held_limit: int


class Seat:
    """One channel in its room; implements `hub.rooms.Member`. Made by Seats."""

    def __init__(
        self,
        topic: str,
        identity: Identity,
        request: JoinRequest,
        services: RoomServices,
        version: Version,
        outbox: Outbox,
    ) -> None:
        self.topic = topic
        self.name = RoomName(topic.removeprefix(joins.TOPIC_PREFIX), request.private)
        self.request = request
        self.identity = identity
        self.ident = services.rooms.new_member()
        self.version = version
        self.key = request.presence_key or str(uuid.uuid4())
        self.rights = _ALL
        self.watching = False
        self.replay: list[Broadcast] = []
        self.writable: dict[Extension, bool] = {}
        self.waiting: dict[Extension, list[Callable[[bool], None]]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._outbox = outbox
        self._limit = services.held_limit
        self._replayed: frozenset[str] = frozenset()
        self._held: list[tuple[bytes, str]] | None = []
        self._held_size = 0

    def hear(self, frame: bytes, ident: str) -> None:
        if self._held is None:
            if not (ident and ident in self._replayed):
                self._outbox.put(frame)
        elif self._held_size + len(frame) <= self._limit:
            self._held.append((frame, ident))
            self._held_size += len(frame)

    def see(self, frame: bytes) -> None:
        self._outbox.put(frame)

    def push(self, event: str, payload: bytes, join_ref: str | None) -> None:
        """Send what belongs to this instance of the channel. payload: JSON."""
        before, after = push_affixes(self.topic, event, self.version, join_ref)
        self._outbox.put(websocket_frame(before + payload + after))

    def send_replay(self) -> None:
        """Send what was asked for with the join; none of it is heard again."""
        self._replayed = frozenset(broadcast.ident for broadcast in self.replay)
        for broadcast in self.replay:
            frame = broadcast.frame(self.topic, self.version)
            if frame is not None:
                self._outbox.put(frame)
        self.replay = []

    def release(self) -> None:
        """Let what was heard follow, and everything from now on."""
        held, self._held = self._held or (), None
        for frame, ident in held:
            self.hear(frame, ident)


class Seats:
    """end: ends a channel for good, with a reason for its client."""

    def __init__(
        self,
        services: RoomServices,
        version: Version,
        outbox: Outbox,
        *,
        end: Callable[[str, str], None],
    ) -> None:
        self._services = services
        self._version = version
        self._outbox = outbox
        self._end = end
        self._seats: dict[str, Seat] = {}

    # Coming and going

    async def admit(self, topic: str, identity: Identity, request: JoinRequest) -> None:
        """Take a seat. May be cancelled; `leave` gives up what was taken.

        Raises:
            ChannelUnauthorizedError, ChannelPolicyError, ReplayError, DatabaseUnreachableError
        """
        services = self._services
        seat = Seat(topic, identity, request, services, self._version, self._outbox)
        if request.private:
            seat.rights = await services.policies.readable(identity, seat.name.topic)
        replay = request.replay
        if not (seat.rights.broadcast or (seat.rights.presence and replay is None)):
            raise ChannelUnauthorizedError(seat.name.topic)
        if replay is not None and not request.private:
            raise ReplayError("Replay is not allowed for public channels")
        if replay is not None and not replay.valid:
            raise ReplayError("Replay params are not valid")
        self._seats[topic] = seat
        if seat.rights.broadcast:
            services.rooms.listen(seat.name, seat)
        if replay is not None:
            seat.replay = await services.messages.replay(
                seat.name.topic, replay.since, replay.limit
            )

    def release(self, topic: str, join_ref: str | None) -> None:
        """The join's reply is queued: what the seat has heard may follow."""
        seat = self._seats.get(topic)
        if seat is None:
            return
        seat.send_replay()
        if seat.request.presence_enabled:
            self._watch(seat, join_ref)
        seat.release()
        if seat.request.replication_ready:
            self._start(seat, self._tell_ready(seat, join_ref))

    def leave(self, topic: str) -> None:
        """Give up the seat; nothing happens if there is none."""
        seat = self._seats.pop(topic, None)
        if seat is not None:
            for task in seat.tasks:
                task.cancel()
            self._services.rooms.leave(seat.name, seat)

    # Rights

    async def reauthorize(self, topic: str, identity: Identity) -> None:
        """The token was refreshed: ask the policies again.

        Raises:
            ReadRevokedError: the channel must end.
            ChannelPolicyError, DatabaseUnreachableError
        """
        seat = self._seats.get(topic)
        if seat is not None and seat.name.private:
            self._services.policies.forget(identity, seat.name.topic)
            await self._review(seat, identity)

    async def recheck(self) -> None:
        """Ask for all private seats whose answers have had their time; end those that may not
        read any more. Seats stay as they are while there is no answer."""
        for seat in list(self._seats.values()):
            if not seat.name.private:
                continue
            try:
                await self._review(seat, seat.identity)
            except ReadRevokedError as error:
                if self._seats.get(seat.topic) is seat:
                    self._end(seat.topic, str(error))
            except (ChannelPolicyError, DatabaseUnreachableError) as error:
                log.warning("channel_recheck_failed", code=error.code)

    async def _review(self, seat: Seat, identity: Identity) -> None:
        known = seat.identity
        rights = await self._services.policies.readable(identity, seat.name.topic)
        if seat.identity is not known:
            return  # a token that was refreshed meanwhile has been asked for by itself
        deaf = seat.rights.broadcast and not rights.broadcast
        if deaf or (seat.watching and not rights.presence):
            raise ReadRevokedError(seat.name.topic)
        seat.rights, seat.identity = rights, identity
        seat.writable.clear()
        if rights.broadcast and self._seats.get(seat.topic) is seat:
            self._services.rooms.listen(seat.name, seat)

    def _when_allowed(self, seat: Seat, extension: Extension, act: Callable[[bool], None]) -> None:
        """Act now or later, in turn, with whether the seat may write."""
        if not seat.name.private:
            act(True)
        elif extension in seat.waiting:
            if len(seat.waiting[extension]) < MAX_WAITING:
                seat.waiting[extension].append(act)
        elif extension in seat.writable:
            act(seat.writable[extension])
        else:
            seat.waiting[extension] = [act]
            self._start(seat, self._ask(seat, extension))

    async def _ask(self, seat: Seat, extension: Extension) -> None:
        verdict, identity = False, None
        try:
            while identity is not seat.identity:  # a token may be refreshed meanwhile
                identity = seat.identity
                verdict = await self._services.policies.writable(
                    identity, seat.name.topic, extension
                )
            seat.writable[extension] = verdict
        except (ChannelPolicyError, DatabaseUnreachableError) as error:
            log.warning("channel_policy_failed", code=error.code)
        for act in seat.waiting.pop(extension):
            act(verdict)

    # What the channel does

    def perform(self, effect: Publish | Track | Untrack, join_ref: str | None) -> None:
        """Do what the channel asks for; nothing happens if it has no seat."""
        seat = self._seats.get(effect.topic)
        match effect:
            case _ if seat is None:
                return
            case Publish():
                self._publish(seat, effect)
            case Track():
                self._track(seat, effect, join_ref)
            case Untrack():
                self._services.rooms.untrack(seat.name, seat.ident)

    def _publish(self, seat: Seat, effect: Publish) -> None:
        """Say something; without the right to, it is dropped without a word."""
        sender = None if seat.request.broadcast_self else seat.ident

        def say(allowed: bool) -> None:
            if not allowed:
                self._services.limits.reached[ChannelUnauthorizedError.code] += 1
                return
            self._services.rooms.say(seat.name, effect.broadcast, sender)
            if effect.done is not None:
                self._outbox.put(effect.done)

        self._when_allowed(seat, Extension.BROADCAST, say)

    def _track(self, seat: Seat, effect: Track, join_ref: str | None) -> None:
        """Show the channel, which lets it see the others too."""

        def show(allowed: bool) -> None:
            self._outbox.put(effect.done if allowed else effect.refused)
            if allowed:
                self._services.rooms.track(seat.name, seat.ident, seat.key, effect.content)
                self._watch(seat, join_ref)

        self._when_allowed(seat, Extension.PRESENCE, show)

    def _watch(self, seat: Seat, join_ref: str | None) -> None:
        if not seat.watching and seat.rights.presence:
            seat.watching = True
            state = self._services.rooms.watch(seat.name, seat)
            seat.push("presence_state", state, join_ref)

    async def _tell_ready(self, seat: Seat, join_ref: str | None) -> None:
        """Say that broadcasts from the database arrive from now on."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_TIMEOUT
        while not self._services.ready():
            if loop.time() >= deadline:
                self._end(seat.topic, "Replication connection was not established in time")
                return
            await asyncio.sleep(_READY_POLL)
        text = "Replication connection established"
        payload = joins.system_payload(seat.topic, "system", text)
        message = Message(join_ref, None, seat.topic, "system", payload)
        self._outbox.put(websocket_frame(encode(message, self._version)))

    def _start(self, seat: Seat, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            seat.tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("seat_broke", topic=seat.topic, exc_info=error)
                if self._seats.get(seat.topic) is seat:
                    self._end(seat.topic, "Something went wrong on the server")

        task = asyncio.get_running_loop().create_task(work)
        seat.tasks.add(task)
        task.add_done_callback(ended)
