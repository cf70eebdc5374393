"""What every Bus does; each adapter is one parameter."""

from __future__ import annotations

import pytest

from realtime_hub.bus.local import LocalBus
from realtime_hub.hub.ports import Bus
from realtime_hub.hub.posts import Post, RoomName, Said
from realtime_hub.wire.broadcast import Broadcast

ROOM = RoomName("room", private=False)


class Listener:
    def __init__(self) -> None:
        self.posts: list[Post] = []

    def take(self, post: Post) -> None:
        self.posts.append(post)

    def node_left(self, node: str) -> None:
        raise AssertionError(f"{node} has not left")


@pytest.fixture(params=[LocalBus])
async def bus(request: pytest.FixtureRequest) -> Bus:
    made: Bus = request.param()
    return made


async def test_a_node_hears_its_own_posts_in_their_order(bus: Bus) -> None:
    listener = Listener()
    bus.attach(listener)
    posts = [Said(ROOM, Broadcast("e", str(number).encode())) for number in range(100)]
    for post in posts:
        bus.publish(post)
    assert listener.posts == posts
    await bus.aclose()


async def test_a_closed_bus_brings_nothing(bus: Bus) -> None:
    listener = Listener()
    bus.attach(listener)
    await bus.aclose()
    bus.publish(Said(ROOM, Broadcast("e", b"")))
    assert listener.posts == []


async def test_nodes_have_names_of_their_own() -> None:
    assert LocalBus().node != LocalBus().node
