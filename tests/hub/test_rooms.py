"""Rooms: who hears what, and how presence is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from realtime_hub.bus.local import LocalBus
from realtime_hub.hub.posts import MemberId, Present, RoomName, Said
from realtime_hub.hub.presence import Tracked
from realtime_hub.hub.rooms import PRESENCE_WINDOW, Rooms
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.phoenix import Version

ROOM = RoomName("room", private=False)
HELLO = Broadcast("e", b'{"n":1}')


class HandClock:
    """Time that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        self.calls.append((self.now + delay, callback))
        return None

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [call for call in self.calls if call[0] <= self.now]
        self.calls = [call for call in self.calls if call[0] > self.now]
        for _, callback in sorted(due, key=lambda call: call[0]):
            callback()


class Ear:
    """A member that keeps what it was given."""

    def __init__(self, rooms: Rooms, version: Version = Version.V2) -> None:
        self.ident = rooms.new_member()
        self.version = version
        self.heard: list[bytes] = []
        self.idents: list[str] = []
        self.diffs: list[dict[str, Any]] = []

    def hear(self, frame: bytes, ident: str) -> None:
        self.heard.append(frame)
        self.idents.append(ident)

    def see(self, frame: bytes) -> None:
        text = frame[frame.index(b"{" if self.version is Version.V1 else b"[") :]
        message = json.loads(text)
        event, payload = (
            message[3:]
            if isinstance(message, list)
            else (
                message["event"],
                message["payload"],
            )
        )
        assert event == "presence_diff"
        self.diffs.append(payload)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def rooms(clock: HandClock) -> Rooms:
    return Rooms(LocalBus(), clock)


def test_all_who_listen_hear_a_broadcast_but_its_sender(rooms: Rooms) -> None:
    ears = [Ear(rooms) for _ in range(3)]
    for ear in ears:
        rooms.listen(ROOM, ear)
    rooms.say(ROOM, HELLO, ears[0].ident)
    assert [len(ear.heard) for ear in ears] == [0, 1, 1]
    rooms.say(ROOM, HELLO)
    assert [len(ear.heard) for ear in ears] == [1, 2, 2]


def test_members_of_one_version_get_the_same_bytes(rooms: Rooms) -> None:
    old, new, newer = Ear(rooms, Version.V1), Ear(rooms), Ear(rooms)
    for ear in (old, new, newer):
        rooms.listen(ROOM, ear)
    rooms.say(ROOM, HELLO)
    assert new.heard[0] is newer.heard[0]
    assert old.heard[0] != new.heard[0]


def test_bytes_pass_by_members_that_have_no_form_for_them(rooms: Rooms) -> None:
    old, new = Ear(rooms, Version.V1), Ear(rooms)
    rooms.listen(ROOM, old)
    rooms.listen(ROOM, new)
    rooms.say(ROOM, Broadcast("e", b"\x00", raw=True))
    assert (len(old.heard), len(new.heard)) == (0, 1)
    assert rooms.statistics.unsuited == 1


@pytest.mark.parametrize("other", [RoomName("room", private=True), RoomName("rooms", False)])
def test_rooms_are_apart(rooms: Rooms, other: RoomName) -> None:
    here, there = Ear(rooms), Ear(rooms)
    rooms.listen(ROOM, here)
    rooms.listen(other, there)
    rooms.say(other, HELLO)
    assert (len(here.heard), len(there.heard)) == (0, 1)


def test_who_has_left_hears_nothing_and_an_empty_room_is_forgotten(
    rooms: Rooms, clock: HandClock
) -> None:
    ear = Ear(rooms)
    rooms.listen(ROOM, ear)
    rooms.watch(ROOM, ear)
    rooms.track(ROOM, ear.ident, "ana", b"{}")
    clock.advance(1)
    rooms.leave(ROOM, ear)
    rooms.leave(ROOM, ear)
    rooms.say(ROOM, HELLO)
    clock.advance(1)
    assert ear.heard == []
    assert len(rooms) == 0


def test_a_broadcast_to_nobody_leaves_no_room_behind(rooms: Rooms) -> None:
    rooms.say(ROOM, HELLO)
    assert len(rooms) == 0


def test_the_first_change_is_told_at_once_and_those_after_it_together(
    rooms: Rooms, clock: HandClock
) -> None:
    ear = Ear(rooms)
    rooms.watch(ROOM, ear)
    others = [Ear(rooms) for _ in range(50)]
    rooms.track(ROOM, others[0].ident, "k0", b"{}")
    clock.advance(0)
    assert len(ear.diffs) == 1
    for number, other in enumerate(others[1:], 1):
        rooms.track(ROOM, other.ident, f"k{number}", b"{}")
    clock.advance(PRESENCE_WINDOW / 2)
    assert len(ear.diffs) == 1
    clock.advance(PRESENCE_WINDOW)
    assert len(ear.diffs) == 2
    assert len(ear.diffs[1]["joins"]) == 49


def test_whoever_watches_late_knows_all_from_the_state_and_the_next_diff(
    rooms: Rooms, clock: HandClock
) -> None:
    first, second, late = Ear(rooms), Ear(rooms), Ear(rooms)
    rooms.track(ROOM, first.ident, "ana", b"{}")
    clock.advance(0)
    rooms.track(ROOM, second.ident, "eva", b"{}")
    state = json.loads(rooms.watch(ROOM, late))
    assert set(state) == {"ana"}
    clock.advance(PRESENCE_WINDOW)
    assert [set(diff["joins"]) for diff in late.diffs] == [{"eva"}]


def test_leaving_untracks(rooms: Rooms, clock: HandClock) -> None:
    ear, gone = Ear(rooms), Ear(rooms, Version.V1)
    rooms.watch(ROOM, ear)
    rooms.watch(ROOM, gone)
    rooms.track(ROOM, gone.ident, "ana", b"{}")
    clock.advance(0)
    rooms.leave(ROOM, gone)
    clock.advance(PRESENCE_WINDOW)
    assert set(ear.diffs[-1]["leaves"]) == {"ana"}
    assert len(gone.diffs) == 1


def test_what_other_nodes_say_and_show_arrives_and_goes_with_them(
    rooms: Rooms, clock: HandClock
) -> None:
    ear, far = Ear(rooms), MemberId("far", 1)
    rooms.listen(ROOM, ear)
    rooms.watch(ROOM, ear)
    rooms.take(Said(ROOM, HELLO, far))
    rooms.take(Present(ROOM, far, Tracked("eva", "far1", b"{}")))
    clock.advance(0)
    assert len(ear.heard) == 1
    assert set(ear.diffs[-1]["joins"]) == {"eva"}
    rooms.node_left("elsewhere")
    rooms.node_left("far")
    clock.advance(PRESENCE_WINDOW)
    assert set(ear.diffs[-1]["leaves"]) == {"eva"}


def test_the_id_of_a_kept_message_is_told_to_its_hearers(rooms: Rooms) -> None:
    ear = Ear(rooms)
    rooms.listen(ROOM, ear)
    rooms.say(ROOM, Broadcast("e", b"{}", meta=b'{"id":"a"}', ident="a"))
    assert ear.idents == ["a"]
