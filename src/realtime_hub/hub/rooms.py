"""Rooms: who hears the broadcasts of a topic, and who is told who is present."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from realtime_hub.hub.ports import Bus
from realtime_hub.hub.posts import MemberId, Post, Present, RoomName, Said
from realtime_hub.hub.presence import Presence, Tracked
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.joins import TOPIC_PREFIX
from realtime_hub.wire.phoenix import Version, push_affixes, websocket_frame

PRESENCE_WINDOW: Final = 0.05
"""Seconds between two diffs of a room. The first change after a quiet time is told at once."""


class Member(Protocol):
    """A remote channel, or whoever else is in a room. Neither method may block or raise."""

    @property
    def ident(self) -> MemberId: ...

    @property
    def version(self) -> Version: ...

    def hear(self, frame: bytes, ident: str) -> None:
        """Take a broadcast's WebSocket frame; ident is "" unless the database keeps it."""

    def see(self, frame: bytes) -> None:
        """Take the frame of a presence diff."""


class Clock(Protocol):
    """An event loop, or a test's own time. Times in seconds."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object: ...


@dataclass(slots=True)
class RoomStatistics:
    """Counted since the start. broadcasts: taken, from wherever. deliveries: handed to members.
    unsuited: broadcasts that members of some version could not be given. diffs: made, and
    diff_deliveries: handed to members."""

    broadcasts: int = 0
    deliveries: int = 0
    unsuited: int = 0
    diffs: int = 0
    diff_deliveries: int = 0


@dataclass(slots=True)
class _Audience:
    """Members by version, since those of one version get the same bytes."""

    members: dict[Version, dict[MemberId, Member]] = field(default_factory=dict)

    def add(self, member: Member) -> None:
        self.members.setdefault(member.version, {})[member.ident] = member

    def discard(self, member: Member) -> None:
        group = self.members.get(member.version, {})
        group.pop(member.ident, None)
        if not group:
            self.members.pop(member.version, None)

    def groups(self, but: MemberId | None = None) -> list[tuple[Version, list[Member]]]:
        """All members but one, as they are now: they may leave while they are given something."""
        return [
            (version, [member for ident, member in group.items() if ident != but])
            for version, group in self.members.items()
        ]


@dataclass(slots=True)
class _Room:
    listeners: _Audience = field(default_factory=_Audience)
    watchers: _Audience = field(default_factory=_Audience)
    presence: Presence = field(default_factory=Presence)
    announced_at: float = float("-inf")
    due: bool = False

    @property
    def empty(self) -> bool:
        return not (self.listeners.members or self.watchers.members) and self.presence.empty


class Rooms:
    """All rooms of one node; implements `hub.ports.BusListener`.

    What members say goes over the bus, to this node too, so that everybody hears the broadcasts
    of one sender in the order in which they were said.
    """

    def __init__(self, bus: Bus, clock: Clock, *, window: float = PRESENCE_WINDOW) -> None:
        self._bus = bus
        self._clock = clock
        self._window = window
        self._rooms: dict[RoomName, _Room] = {}
        self._numbers = itertools.count(1)
        self._refs = itertools.count()
        self._ref_prefix = secrets.token_hex(5)
        self.statistics = RoomStatistics()
        bus.attach(self)

    def __len__(self) -> int:
        return len(self._rooms)

    def new_member(self) -> MemberId:
        return MemberId(self._bus.node, next(self._numbers))

    # Coming and going

    def listen(self, name: RoomName, member: Member) -> None:
        """From now on the member hears what is said."""
        self._room(name).listeners.add(member)

    def watch(self, name: RoomName, member: Member) -> bytes:
        """From now on the member is told who comes and goes; the answer is who is there, JSON."""
        room = self._room(name)
        room.watchers.add(member)
        return room.presence.state()

    def leave(self, name: RoomName, member: Member) -> None:
        """Forget the member; nothing happens if it is not there."""
        room = self._rooms.get(name)
        if room is not None:
            room.listeners.discard(member)
            room.watchers.discard(member)
            self.untrack(name, member.ident)
            self._tidy(name, room)

    # What members do

    def say(self, name: RoomName, broadcast: Broadcast, sender: MemberId | None = None) -> None:
        """Give a broadcast to all who listen, but for `sender`."""
        self._bus.publish(Said(name, broadcast, sender))

    def track(self, name: RoomName, member: MemberId, key: str, content: bytes) -> None:
        """Show the member under a key. content: a JSON object, see `presence.content_of`."""
        ref = f"{self._ref_prefix}{next(self._refs):x}"
        self._bus.publish(Present(name, member, Tracked(key, ref, content)))

    def untrack(self, name: RoomName, member: MemberId) -> None:
        """Show the member no longer; nothing happens if it is not shown."""
        room = self._rooms.get(name)
        if room is not None and room.presence.tracked(member) is not None:
            self._bus.publish(Present(name, member, None))

    # What the bus brings

    def take(self, post: Post) -> None:
        if isinstance(post, Said):
            self._deliver(post)
        else:
            self._note(post)

    def node_left(self, node: str) -> None:
        for name, room in list(self._rooms.items()):
            gone = [m for m in room.presence.members if isinstance(m, MemberId) and m.node == node]
            for member in gone:
                self._note(Present(name, member, None))

    def _deliver(self, post: Said) -> None:
        statistics = self.statistics
        statistics.broadcasts += 1
        room = self._rooms.get(post.room)
        if room is None:
            return
        topic, ident, sender = TOPIC_PREFIX + post.room.topic, post.broadcast.ident, post.sender
        for version, members in room.listeners.groups(but=sender):
            frame = post.broadcast.frame(topic, version)
            if frame is None:
                statistics.unsuited += 1
                continue
            for member in members:
                member.hear(frame, ident)
            statistics.deliveries += len(members)

    def _note(self, post: Present) -> None:
        room = self._room(post.room)
        if post.tracked is None:
            room.presence.untrack(post.member)
        else:
            room.presence.track(post.member, post.tracked)
        if room.presence.changed and not room.due:
            room.due = True
            delay = max(0.0, room.announced_at + self._window - self._clock.time())
            self._clock.call_later(delay, lambda: self._announce(post.room, room))
        self._tidy(post.room, room)

    def _announce(self, name: RoomName, room: _Room) -> None:
        room.due = False
        room.announced_at = self._clock.time()
        diff = room.presence.announce()
        if diff is not None:
            self.statistics.diffs += 1
            for version, members in room.watchers.groups():
                before, after = push_affixes(TOPIC_PREFIX + name.topic, "presence_diff", version)
                frame = websocket_frame(before + diff + after)
                for member in members:
                    member.see(frame)
                self.statistics.diff_deliveries += len(members)
        self._tidy(name, room)

    def _room(self, name: RoomName) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
        return room

    def _tidy(self, name: RoomName, room: _Room) -> None:
        if room.empty and not room.due and self._rooms.get(name) is room:
            del self._rooms[name]
