from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.changes import ReplicaIdentity
from realtime_hub.errors import ReplicationProtocolError
from realtime_hub.wire.pgoutput import Relation, Type, decode
from tests.wire.captured import CAPTURED

MESSAGES = [bytes.fromhex(data) for data, _ in CAPTURED.values()]
TAGS = st.sampled_from([bytes([tag]) for tag in b"BCORYIUDTM"])


@pytest.mark.parametrize("name", CAPTURED)
def test_what_postgresql_sends_is_read(name: str) -> None:
    data, message = CAPTURED[name]
    assert decode(bytes.fromhex(data)) == message
    assert type(decode(bytes.fromhex(data))) is type(message)


def test_a_memoryview_is_as_good_as_bytes() -> None:
    for data in MESSAGES:
        assert decode(memoryview(data)) == decode(data)


def test_an_empty_namespace_means_pg_catalog() -> None:
    relation = b"R" + struct.pack(">I", 1) + b"\0pg_class\0n" + struct.pack(">H", 0)
    assert decode(relation) == Relation(1, "pg_catalog", "pg_class", ReplicaIdentity.NOTHING, ())
    assert decode(b"Y" + struct.pack(">I", 2) + b"\0int4\0") == Type(2, "pg_catalog", "int4")


@pytest.mark.parametrize("name", CAPTURED)
def test_a_message_cut_anywhere_is_refused(name: str) -> None:
    data = bytes.fromhex(CAPTURED[name][0])
    for length in range(len(data)):
        with pytest.raises(ReplicationProtocolError):
            decode(data[:length])


@pytest.mark.parametrize("name", CAPTURED)
def test_bytes_after_the_end_are_refused(name: str) -> None:
    with pytest.raises(ReplicationProtocolError, match="after the message's end"):
        decode(bytes.fromhex(CAPTURED[name][0]) + b"\0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"S\0\0\0\1", "unknown message type"),  # Stream Start is of version 2
        (b"I\0\0\0\1O\0\0", "without a new row"),
        (b"D\0\0\0\1N\0\0", "without an old row"),
        (b"U\0\0\0\1X\0\0", "without a new row"),
        (b"U\0\0\0\1K\0\0X\0\0", "without a new row"),
        (b"I\0\0\0\1N\0\1b\0\0\0\1x", "unknown kind of value"),  # binary was not asked for
        (b"R\0\0\0\1a\0b\0x\0\0", "malformed"),
        (b"Y\0\0\0\1\xff\0b\0", "malformed"),
        (b"T\xff\xff\xff\xff\0", "truncated"),
    ],
)
def test_foreign_bytes_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ReplicationProtocolError, match=reason):
        decode(data)


@given(st.one_of(st.binary(), st.builds(lambda tag, rest: tag + rest, TAGS, st.binary())))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    _decode_or_refuse(data)


@given(st.sampled_from(MESSAGES), st.data())
def test_flipped_bytes_raise_nothing_else(message: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(message) - 1))
    value = data.draw(st.integers(0, 255))
    _decode_or_refuse(message[:at] + bytes([value]) + message[at + 1 :])


def _decode_or_refuse(data: bytes) -> None:
    with suppress(ReplicationProtocolError):
        decode(data)
