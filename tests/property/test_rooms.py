"""Rooms against a plain model: whoever is there hears every broadcast of every sender, in the
order in which that sender said them, whatever the policies' answers take."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime_hub.bus.local import LocalBus
from realtime_hub.gateway.effects import Publish
from realtime_hub.gateway.limits import GatewaySettings, SharedLimits
from realtime_hub.gateway.seats import RoomServices, Seats
from realtime_hub.hub.ports import ChannelRights, Extension
from realtime_hub.hub.posts import RoomName
from realtime_hub.hub.rooms import Rooms
from realtime_hub.identity import Identity
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.joins import JoinRequest
from realtime_hub.wire.phoenix import Version
from tests.hub.test_rooms import Ear, HandClock

ROOMS = st.sampled_from(
    [RoomName("a", private=False), RoomName("a", private=True), RoomName("b", private=False)]
)
MEMBERS = st.integers(0, 4)


def numbered(sender: int, number: int) -> Broadcast:
    return Broadcast("e", json.dumps([sender, number]).encode())


def said(frame: bytes) -> tuple[int, int]:
    """The sender and the number in a frame of either version."""
    text = frame.decode(errors="replace")
    start = text.rindex('"payload":[') + len('"payload":') if '"payload":[' in text else -1
    found = text[start : text.index("]", start) + 1] if start > 0 else text[text.rindex("[") :]
    sender, number = json.loads(found)
    return sender, number


class Talking(RuleBasedStateMachine):
    """Members of both versions come, go, and speak in several rooms."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms = Rooms(LocalBus(), HandClock())
        self.ears = [Ear(self.rooms, list(Version)[n % 2]) for n in range(5)]
        self.there: set[tuple[RoomName, int]] = set()
        self.expected: list[list[tuple[int, int]]] = [[] for _ in self.ears]
        self.number = 0

    @rule(name=ROOMS, member=MEMBERS)
    def come(self, name: RoomName, member: int) -> None:
        self.rooms.listen(name, self.ears[member])
        self.there.add((name, member))

    @rule(name=ROOMS, member=MEMBERS)
    def go(self, name: RoomName, member: int) -> None:
        self.rooms.leave(name, self.ears[member])
        self.there.discard((name, member))

    @rule(name=ROOMS, sender=MEMBERS, hears_itself=st.booleans())
    def say(self, name: RoomName, sender: int, hears_itself: bool) -> None:
        self.number += 1
        ident = None if hears_itself else self.ears[sender].ident
        self.rooms.say(name, numbered(sender, self.number), ident)
        for member in range(len(self.ears)):
            if (name, member) in self.there and (hears_itself or member != sender):
                self.expected[member].append((sender, self.number))

    @invariant()
    def everybody_heard_what_was_said_and_nothing_else(self) -> None:
        for ear, expected in zip(self.ears, self.expected, strict=True):
            assert [said(frame) for frame in ear.heard] == expected

    @invariant()
    def only_rooms_with_members_are_kept(self) -> None:
        assert len(self.rooms) == len({name for name, _ in self.there})


Talking.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestTalking = Talking.TestCase


@dataclass
class SlowPolicies:
    """Answers only when it is told to, one question at a time."""

    answers: list[bool]
    waiting: list[asyncio.Future[bool]] = field(default_factory=list)

    async def readable(self, identity: Identity, topic: str) -> ChannelRights:
        return ChannelRights(broadcast=True, presence=True)

    async def writable(self, identity: Identity, topic: str, extension: Extension) -> bool:
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        return await answer

    def forget(self, identity: Identity, topic: str) -> None:
        """Nothing is kept."""

    def answer(self) -> None:
        if self.waiting:
            self.waiting.pop(0).set_result(self.answers.pop(0) if self.answers else True)


class Sink:
    """Stands in for an outbox."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def put(self, frame: bytes) -> None:
        self.frames.append(frame)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 2)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("refresh"), st.integers(0, 2)),
    ),
    max_size=40,
)


async def _talk(steps: list[tuple[str, int]], answers: list[bool]) -> None:
    rooms = Rooms(LocalBus(), HandClock())
    policies, sink, allowed = SlowPolicies(answers), Sink(), all(answers)
    services = RoomServices(
        rooms,
        policies,
        messages=None,  # type: ignore[arg-type]
        limits=SharedLimits(GatewaySettings()),
        ready=lambda: True,
        held_limit=1_000_000,
    )

    def seats_of(outbox: Any) -> Seats:
        return Seats(services, Version.V2, outbox, end=lambda topic, reason: None)

    speaking, hearing = [seats_of(Sink()) for _ in range(3)], seats_of(sink)
    request, topic = JoinRequest(private=True), "realtime:room"
    for number, seats in enumerate([*speaking, hearing]):
        await seats.admit(topic, Identity("authenticated", "{}", f"user {number}"), request)
        seats.release(topic, "1")
    for number, (step, member) in enumerate(steps):
        match step:
            case "say":
                speaking[member].perform(Publish(topic, numbered(member, number)), "1")
            case "refresh":
                newer = Identity("authenticated", "{}", f"user {member} at {number}")
                await speaking[member].reauthorize(topic, newer)
            case _:
                policies.answer()
        await asyncio.sleep(0)
    while policies.waiting:
        policies.answer()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    heard = [said(frame) for frame in sink.frames]
    for member in range(3):
        numbers = [number for sender, number in heard if sender == member]
        assert numbers == sorted(set(numbers))
    if allowed:
        assert len(heard) == sum(step == "say" for step, _ in steps)
    for seats in [*speaking, hearing]:
        seats.leave(topic)
    assert len(rooms) == 0


@settings(max_examples=150)
@given(STEPS, st.lists(st.booleans(), max_size=5))
def test_the_order_of_a_sender_holds_while_policies_are_asked(
    steps: list[tuple[str, int]], answers: list[bool]
) -> None:
    asyncio.run(_talk(steps, answers))
