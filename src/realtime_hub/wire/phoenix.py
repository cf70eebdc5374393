"""Phoenix channel frames in both protocol versions, and the WebSocket frame around them.

Version 1.0.0 frames are JSON objects, version 2.0.0 frames are JSON arrays (Phoenix,
`Phoenix.Socket.V1.JSONSerializer` and `V2.JSONSerializer`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard

import orjson

from realtime_hub.errors import FrameError

MAX_TOPIC_LENGTH: Final = 1_024
MAX_NAME_LENGTH: Final = 255  # of refs and events: what the binary frames can carry

Payload: TypeAlias = Mapping[str, Any]


class Version(StrEnum):
    """The `vsn` of a connection; without one it is 1.0.0."""

    V1 = "1.0.0"
    V2 = "2.0.0"


class Opcode(IntEnum):
    """RFC 6455, section 5.2."""

    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Message(NamedTuple):
    """One Phoenix message. Replies echo both refs; a push has none, or the channel's join_ref."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Payload


def decode(frame: str | bytes | bytearray | memoryview, version: Version) -> Message:
    """Read one text frame.

    Raises:
        FrameError: it is not JSON of this version's shape, or a name in it is too long.
    """
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        # The text before the colon says what is wrong; what follows is where.
        raise FrameError(str(error).partition(":")[0]) from None
    if version is Version.V2:
        return _from_array(value)
    return _from_object(value)


def encode(message: Message, version: Version) -> bytes:
    """Write one text frame's JSON. Version 1 leaves `join_ref` out and always has `ref`."""
    if version is Version.V2:
        return orjson.dumps(tuple(message))
    return orjson.dumps(
        {
            "topic": message.topic,
            "event": message.event,
            "payload": message.payload,
            "ref": message.ref,
        }
    )


def push_affixes(
    topic: str, event: str, version: Version, join_ref: str | None = None
) -> tuple[bytes, bytes]:
    """What stands before and after the payload's JSON in a push."""
    name, what = orjson.dumps(topic), orjson.dumps(event)
    if version is Version.V2:
        return b"[%b,null,%b,%b," % (orjson.dumps(join_ref), name, what), b"]"
    return b'{"topic":%b,"event":%b,"payload":' % (name, what), b',"ref":null}'


def websocket_frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """Frame a whole message as a server sends it: final, unmasked (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def _from_array(value: object) -> Message:
    if not isinstance(value, list) or len(value) != 5:
        raise FrameError("expected an array of five: join_ref, ref, topic, event, payload")
    return _message(*value)


def _from_object(value: object) -> Message:
    if not isinstance(value, dict):
        raise FrameError("expected an object with topic, event, payload and ref")
    return _message(
        value.get("join_ref"),
        value.get("ref"),
        value.get("topic"),
        value.get("event"),
        value.get("payload"),
    )


def _message(
    join_ref: object, ref: object, topic: object, event: object, payload: object
) -> Message:
    if not _is_ref(join_ref) or not _is_ref(ref):
        raise FrameError("a ref is a short string or null")
    if not isinstance(topic, str) or len(topic) > MAX_TOPIC_LENGTH:
        raise FrameError(f"a topic is a string of at most {MAX_TOPIC_LENGTH} characters")
    if not isinstance(event, str) or len(event) > MAX_NAME_LENGTH:
        raise FrameError(f"an event is a string of at most {MAX_NAME_LENGTH} characters")
    if not isinstance(payload, dict):
        raise FrameError("a payload is an object")
    return Message(join_ref, ref, topic, event, payload)


def _is_ref(value: object) -> TypeGuard[str | None]:
    return value is None or (isinstance(value, str) and len(value) <= MAX_NAME_LENGTH)
