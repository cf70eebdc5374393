"""What travels between nodes for rooms: broadcasts, and who is present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from realtime_hub.hub.presence import Tracked
from realtime_hub.wire.broadcast import Broadcast


class RoomName(NamedTuple):
    """A topic without its prefix; private and public rooms of one topic are apart."""

    topic: str
    private: bool


class MemberId(NamedTuple):
    """One channel of one connection: its node, and a number that the node never gives again."""

    node: str
    number: int


@dataclass(frozen=True, slots=True)
class Said:
    """A broadcast. sender: the member that does not get it, None if all do."""

    room: RoomName
    broadcast: Broadcast
    sender: MemberId | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What a member tracks now; None once it tracks nothing."""

    room: RoomName
    member: MemberId
    tracked: Tracked | None


Post: TypeAlias = Said | Present
