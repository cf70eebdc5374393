"""Phoenix frames and the WebSocket frame around them."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from realtime_hub.errors import FrameError
from realtime_hub.wire.phoenix import (
    Message,
    Opcode,
    Version,
    decode,
    encode,
    push_affixes,
    websocket_frame,
)

HEARTBEAT_V1 = '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}'
HEARTBEAT_V2 = '[null,"1","phoenix","heartbeat",{}]'


@pytest.mark.parametrize(
    ("text", "version"), [(HEARTBEAT_V1, Version.V1), (HEARTBEAT_V2, Version.V2)]
)
def test_both_versions_carry_the_same_message(text: str, version: Version) -> None:
    assert decode(text, version) == Message(None, "1", "phoenix", "heartbeat", {})
    assert decode(text.encode(), version) == decode(text, version)


def test_version_1_takes_a_join_ref_but_never_sends_one() -> None:
    text = '{"topic":"realtime:r","event":"phx_join","payload":{},"ref":"2","join_ref":"2"}'
    message = decode(text, Version.V1)
    assert message.join_ref == "2"
    assert json.loads(encode(message, Version.V1)).keys() == {"topic", "event", "payload", "ref"}


def test_version_1_has_a_null_ref_on_pushes_since_supabase_py_drops_frames_without() -> None:
    frame = json.loads(encode(Message(None, None, "realtime:r", "system", {}), Version.V1))
    assert frame["ref"] is None


def test_version_2_is_an_array_of_five() -> None:
    message = Message("6", "7", "realtime:r", "phx_reply", {"status": "ok", "response": {}})
    assert encode(message, Version.V2) == (
        b'["6","7","realtime:r","phx_reply",{"status":"ok","response":{}}]'
    )


@pytest.mark.parametrize("version", list(Version))
def test_affixes_around_a_payload_make_the_frame_that_encode_makes(version: Version) -> None:
    message = Message(None, None, 'realtime:"ñ"\x00', "postgres_changes", {"a": 1})
    before, after = push_affixes(message.topic, message.event, version)
    assert json.loads(before + b'{"a":1}' + after) == json.loads(encode(message, version))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (HEARTBEAT_V1, Version.V2),
        (HEARTBEAT_V2, Version.V1),
        ("", Version.V2),
        ("17", Version.V1),
        ("NaN", Version.V2),
        ("[" * 100_000 + "]" * 100_000, Version.V2),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, Version.V1),
        ('[null,"1","phoenix","heartbeat",{"a":1e999}]', Version.V2),
        ('[null,"1","phoenix","heartbeat",{"a":NaN}]', Version.V2),
        (f'[null,{"9" * 5000},"phoenix","heartbeat",{{}}]', Version.V2),
        ('[null,1,"phoenix","heartbeat",{}]', Version.V2),
        ('[null,"1","phoenix","heartbeat",null]', Version.V2),
        ('[null,"1","phoenix",7,{}]', Version.V2),
        ('[null,"1",null,"heartbeat",{}]', Version.V2),
        ('[null,"1","phoenix","heartbeat"]', Version.V2),
        ('[null,"1","\\ud800","heartbeat",{}]', Version.V2),
        (f'[null,"1","{"x" * 1025}","heartbeat",{{}}]', Version.V2),
        (f'[null,"{"1" * 256}","phoenix","heartbeat",{{}}]', Version.V2),
        ('{"topic":"phoenix","event":"heartbeat","ref":"1"}', Version.V1),
    ],
)
def test_what_is_no_message_is_a_frame_error(text: str, version: Version) -> None:
    with pytest.raises(FrameError):
        decode(text, version)


def test_of_duplicate_keys_the_last_counts() -> None:
    text = '[null,"1","phoenix","heartbeat",{"a":1,"a":2}]'
    assert decode(text, Version.V2).payload == {"a": 2}


def test_text_that_is_not_utf8_is_a_frame_error() -> None:
    with pytest.raises(FrameError):
        decode(b'[null,"1","\xff","heartbeat",{}]', Version.V2)


def parsed(frame: bytes) -> dict[str, Any]:
    """What RFC 6455, section 5.2 says of a frame."""
    size, start = frame[1] & 0x7F, 2
    if size == 126:
        (size,), start = struct.unpack_from("!H", frame, 2), 4
    elif size == 127:
        (size,), start = struct.unpack_from("!Q", frame, 2), 10
    return {
        "final": bool(frame[0] & 0x80),
        "opcode": frame[0] & 0x0F,
        "masked": bool(frame[1] & 0x80),
        "size": size,
        "payload": frame[start:],
    }


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_websocket_frame_is_final_unmasked_and_as_long_as_its_payload(size: int) -> None:
    payload = b"x" * size
    assert parsed(websocket_frame(payload)) == {
        "final": True,
        "opcode": Opcode.TEXT,
        "masked": False,
        "size": size,
        "payload": payload,
    }
