"""Rows of `realtime.messages` become broadcasts, once and in the right room."""

from __future__ import annotations

import orjson
import pytest

from realtime_hub.bus.local import LocalBus
from realtime_hub.changes import Change, Column, Kind, Table, Value
from realtime_hub.hub.posts import Post, RoomName, Said
from realtime_hub.hub.rooms import Rooms
from realtime_hub.lsn import Position
from realtime_hub.node.messages import MessageReader, is_message_table
from tests.hub.test_rooms import HandClock

COLUMNS = ("topic", "extension", "payload", "event", "private", "id", "binary_payload")


class Kept(LocalBus):
    def __init__(self) -> None:
        super().__init__()
        self.posts: list[Post] = []

    def publish(self, post: Post) -> None:
        self.posts.append(post)


def row(kind: Kind = Kind.INSERT, lsn: int = 10, **values: Value) -> Change:
    shown: dict[str, Value] = {
        "topic": b"room",
        "extension": b"broadcast",
        "payload": b'{"n": 1.50}',
        "event": b"e",
        "private": b"t",
        "id": b"an-id",
        "binary_payload": None,
        **values,
    }
    columns = tuple(Column(name, 25, "text") for name in COLUMNS)
    table = Table(1, "realtime", "messages_2026_01_01", columns, {})
    new = tuple(shown[name] for name in COLUMNS)
    return Change(Position(1, lsn, 0), kind, table, 1_000, 1, new, None)


@pytest.fixture
def bus() -> Kept:
    return Kept()


@pytest.fixture
def reader(bus: Kept) -> MessageReader:
    return MessageReader(Rooms(bus, HandClock()), since=Position(1, 10, 0), max_bytes=100)


def said(bus: Kept) -> Said:
    [post] = bus.posts
    assert isinstance(post, Said)
    return post


def test_an_inserted_row_is_said_in_its_room_with_its_id(bus: Kept, reader: MessageReader) -> None:
    reader.take(row())
    post = said(bus)
    assert (post.room, post.sender) == (RoomName("room", private=True), None)
    assert (post.broadcast.payload, post.broadcast.event) == (b'{"n": 1.50}', "e")
    assert orjson.loads(post.broadcast.meta) == {"id": post.broadcast.ident} == {"id": "an-id"}


@pytest.mark.parametrize("private", [b"f", None])
def test_a_row_that_is_not_private_is_public(
    bus: Kept, reader: MessageReader, private: bytes | None
) -> None:
    reader.take(row(private=private))
    assert said(bus).room == RoomName("room", private=False)


def test_a_row_of_bytes_is_said_raw(bus: Kept, reader: MessageReader) -> None:
    reader.take(row(payload=None, binary_payload=b"\\x00ff"))
    assert (said(bus).broadcast.payload, said(bus).broadcast.raw) == (b"\x00\xff", True)


@pytest.mark.parametrize(
    "change",
    [
        row(Kind.UPDATE),
        row(Kind.DELETE),
        row(extension=b"presence"),
        row(extension=None),
        row(payload=b'"' + b"x" * 100 + b'"'),
        row(lsn=9),
    ],
)
def test_other_rows_say_nothing(bus: Kept, reader: MessageReader, change: Change) -> None:
    reader.take(change)
    assert bus.posts == []


def test_rows_come_under_the_names_of_partitions_too() -> None:
    def named(schema: str, name: str) -> Table:
        return Table(1, schema, name, (), {})

    assert is_message_table(named("realtime", "messages"))
    assert is_message_table(named("realtime", "messages_2026_01_01"))
    assert not is_message_table(named("public", "messages"))
    assert not is_message_table(named("realtime", "subscription"))
