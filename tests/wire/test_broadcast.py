"""Broadcasts in the frames of both protocol versions."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.errors import FrameError
from realtime_hub.wire.broadcast import Broadcast, Push, decode_push, from_payload
from realtime_hub.wire.phoenix import Opcode, Version
from tests.support.client import Frame, parse_broadcast, parse_frame

TOPIC = "realtime:room:1"
SIZES = [0, 1, 125, 126, 255, 65_535, 65_536, 200_000]


def opened(frame: bytes | None) -> tuple[Opcode, bytes]:
    """The opcode and the payload of a WebSocket frame (RFC 6455, section 5.2)."""
    assert frame is not None
    size, start = frame[1], 2
    if size == 126:
        (size,), start = struct.unpack_from("!H", frame, 2), 4
    elif size == 127:
        (size,), start = struct.unpack_from("!Q", frame, 2), 10
    assert len(frame) == start + size
    return Opcode(frame[0] & 0x0F), frame[start:]


def received(broadcast: Broadcast, version: Version) -> Frame:
    """What a client reads; version 1.0.0 has text frames alone."""
    opcode, payload = opened(broadcast.frame(TOPIC, version))
    if opcode is Opcode.BINARY:
        assert version is Version.V2
        return parse_broadcast(payload)
    return parse_frame(payload.decode())


def test_a_push_of_supabase_js_is_read_with_its_payload_as_it_came() -> None:
    frame = bytes((3, 1, 1, 15, 1, 0, 1)) + b'67realtime:room:1e{"x": 1.50}'
    assert decode_push(frame, Version.V2) == Push("6", "7", TOPIC, Broadcast("e", b'{"x": 1.50}'))


def test_a_push_of_bytes_is_read_as_bytes() -> None:
    frame = bytes((3, 0, 0, 10, 1, 2, 0)) + b"realtime:re{}\xff\x00"
    push = decode_push(frame, Version.V2)
    assert (push.join_ref, push.ref) == (None, None)
    assert push.broadcast == Broadcast("e", b"\xff\x00", raw=True)


def test_the_meta_of_a_client_is_dropped() -> None:
    meta = b'{"replayed":true}'
    frame = bytes((3, 0, 0, 10, 1, len(meta), 1)) + b"realtime:re" + meta + b"{}"
    assert decode_push(frame, Version.V2).broadcast.meta == b""
    text = from_payload({"event": "e", "payload": {}, "meta": {"replayed": True}})
    assert "meta" not in json.loads(text.whole)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x03",
        b"\x03\x01\x01",
        b"\x03\xff\xff\xff\xff\xff\x01short",
        b"\x03\x01\x01\x0f\x01\x00\x0167realtime:room:1e{",
        b"\x03\x01\x01\x0f\x01\x00\x0167realtime:room:1e",
        b"\x03\x01\x01\x0f\x01\x00\x0167realtime:room:1eNaN",
        b'\x03\x01\x01\x0f\x01\x00\x0167realtime:room:1e"\xff"',
        b"\x03\x01\x01\x0f\x01\x00\x0167realtime:room:1e" + b"[" * 100_000 + b"]" * 100_000,
        b"\x03\x00\x00\x01\x01\x00\x00\xffe",
        b"\x04\x01\x01\x00\x00\x00\x00te",
        b"\x03\x00\x00\x01\x01\x00\x02te",
    ],
)
def test_a_broken_push_is_a_frame_error(frame: bytes) -> None:
    with pytest.raises(FrameError):
        decode_push(frame, Version.V2)


def test_version_1_has_no_binary_frames() -> None:
    with pytest.raises(FrameError, match=r"2\.0\.0"):
        decode_push(bytes((3, 1, 1, 15, 1, 0, 1)), Version.V1)
    assert Broadcast("e", b"\x00", raw=True).frame(TOPIC, Version.V1) is None


@given(st.binary(max_size=300))
def test_whatever_bytes_come_nothing_but_a_frame_error_comes_out(data: bytes) -> None:
    try:
        push = decode_push(data, Version.V2)
    except FrameError:
        return
    assert push.broadcast.frame(push.topic, Version.V2) is not None


@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_any_size_arrive_in_version_2(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    frame = received(Broadcast("e", content[:size], raw=True), Version.V2)
    assert frame.payload == {"type": "broadcast", "event": "e", "payload": content[:size]}


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("size", SIZES)
def test_json_of_any_size_arrives_in_both_versions(size: int, version: Version) -> None:
    payload = json.dumps({"x": "ñ" * (size // 2)}).encode()
    frame = received(Broadcast("e", payload, meta=b'{"id":"a"}'), version)
    assert (frame.topic, frame.event, frame.ref) == (TOPIC, "broadcast", None)
    assert frame.payload == {
        "type": "broadcast",
        "event": "e",
        "payload": json.loads(payload),
        "meta": {"id": "a"},
    }


@pytest.mark.parametrize("version", Version)
def test_what_came_as_text_goes_on_whole(version: Version) -> None:
    payload = {"type": "broadcast", "event": "e", "payload": {"n": [1]}, "extra": None}
    assert received(from_payload(payload), version).payload == payload


def test_a_text_push_may_lack_everything() -> None:
    assert received(from_payload({}), Version.V1).payload == {"type": "broadcast"}
    assert received(from_payload({"event": 7}), Version.V2).payload["event"] == 7


def test_a_text_push_too_deep_to_be_written_again_is_a_frame_error() -> None:
    deep: object = 1
    for _ in range(600):
        deep = [deep]
    with pytest.raises(FrameError, match="recursion"):
        from_payload({"event": "e", "payload": deep})


def test_names_too_long_for_binary_frames_go_as_text() -> None:
    long = Broadcast("ñ" * 128, b'{"n":1}')
    opcode, payload = opened(long.frame(TOPIC, Version.V2))
    assert opcode is Opcode.TEXT
    assert parse_frame(payload.decode()).payload["event"] == "ñ" * 128
    assert Broadcast("ñ" * 128, b"\x00", raw=True).frame(TOPIC, Version.V2) is None
    opcode, _ = opened(Broadcast("n" * 255, b"{}").frame(TOPIC, Version.V2))
    assert opcode is Opcode.BINARY


@given(st.text(max_size=80), st.text(max_size=80), st.binary(max_size=100))
def test_names_and_bytes_of_every_kind_survive(topic: str, event: str, content: bytes) -> None:
    frame = Broadcast(event, content, raw=True).frame(topic, Version.V2)
    if max(len(topic.encode()), len(event.encode())) > 255:
        assert frame is None
        return
    read = parse_broadcast(opened(frame)[1])
    assert (read.topic, read.payload["event"], read.payload["payload"]) == (topic, event, content)
