"""Broadcasts, and the frames in which clients of both protocol versions send and get them.

Binary frames of version 2.0.0 (Supabase's serializer; lengths are one byte each, of UTF-8 text):

    3  join_ref ref topic event meta, encoding | these five | payload      client to server
    4  topic event meta, encoding | these three | payload                  server to client

The encoding is 1 for JSON and 0 for bytes. Text frames have the payload
`{"type": "broadcast", "event": .., "payload": .., "meta": ..}` in both versions.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from realtime_hub.errors import FrameError
from realtime_hub.wire.phoenix import Opcode, Version, push_affixes, websocket_frame

EVENT: Final = "broadcast"
MAX_NAME_BYTES: Final = 255

_PUSH: Final = 3
_PUSHED: Final = 4
_PUSH_HEADER: Final = struct.Struct("!7B")
_PUSHED_HEADER: Final = struct.Struct("!5B")


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What is said to all members of a room.

    payload: JSON text, or any bytes if `raw`. meta: a JSON object of the server's, "" for none.
    whole: the payload of a text frame as its sender wrote it, JSON; it stands for event and
    payload then, so that whatever else it holds arrives too. ident: of a message that the
    database keeps, "" for others.
    """

    event: str
    payload: bytes
    raw: bool = False
    meta: bytes = b""
    whole: bytes = b""
    ident: str = ""

    @property
    def size(self) -> int:
        """Bytes that count against the payload's limit."""
        return len(self.whole) or len(self.payload)

    def frame(self, topic: str, version: Version) -> bytes | None:
        """The WebSocket frame for members of this version; None if it can't carry this.

        Raw bytes have no form in version 1.0.0, nor have names of more than 255 bytes one in
        binary frames: JSON goes as text then.
        """
        if version is Version.V2 and not self.whole:
            head = self._binary_head(topic)
            if head is not None:
                return websocket_frame(head + self.meta + self.payload, Opcode.BINARY)
        if self.raw:
            return None
        before, after = push_affixes(topic, EVENT, version)
        return websocket_frame(before + self._text() + after)

    def _binary_head(self, topic: str) -> bytes | None:
        names = topic.encode(), self.event.encode()
        sizes = len(names[0]), len(names[1]), len(self.meta)
        if max(sizes) > MAX_NAME_BYTES:
            return None
        return _PUSHED_HEADER.pack(_PUSHED, *sizes, not self.raw) + b"".join(names)

    def _text(self) -> bytes:
        if self.whole:
            return self.whole
        meta = b',"meta":' + self.meta if self.meta else b""
        event = orjson.dumps(self.event)
        return b'{"type":"broadcast","event":%b,"payload":%b%b}' % (event, self.payload, meta)


class Push(NamedTuple):
    """A binary frame of a client's."""

    join_ref: str | None
    ref: str | None
    topic: str
    broadcast: Broadcast


def decode_push(frame: bytes | bytearray | memoryview, version: Version) -> Push:
    """Read a binary frame: kind 3, as which clients of version 2.0.0 send broadcasts.

    JSON keeps the bytes that it came in. The sender's meta is dropped, as the real server does:
    it is the server's to say.

    Raises:
        FrameError: another kind, another version, cut off, or not UTF-8 and JSON.
    """
    if version is Version.V1:
        raise FrameError("binary frames need protocol version 2.0.0")
    if len(frame) < _PUSH_HEADER.size:
        raise FrameError("binary frame is cut off")
    kind, *sizes, encoding = _PUSH_HEADER.unpack_from(frame)
    if kind != _PUSH or encoding not in (0, 1):
        raise FrameError(f"binary frame of kind {kind}, encoding {encoding}")
    parts, start = [], _PUSH_HEADER.size
    for size in sizes:
        parts.append(bytes(frame[start : start + size]))
        start += size
    if start > len(frame):
        raise FrameError("binary frame is cut off")
    payload = bytes(frame[start:])
    try:
        join_ref, ref, topic, event, _ = (part.decode() for part in parts)
        if encoding:
            orjson.loads(payload)
    except ValueError:  # of which UnicodeDecodeError and JSONDecodeError are kinds
        raise FrameError("binary frame does not hold UTF-8 and JSON") from None
    return Push(join_ref or None, ref or None, topic, Broadcast(event, payload, not encoding))


def from_payload(payload: Mapping[str, Any]) -> Broadcast:
    """The broadcast that a text frame's payload is; its members are kept, but for `meta`.

    Raises:
        FrameError: it is too deep to be written again.
    """
    kept = {name: value for name, value in payload.items() if name != "meta"}
    event = payload.get("event")
    name = event if isinstance(event, str) else ""
    return Broadcast(name, b"", whole=write({**kept, "type": EVENT}))


def write(value: object, options: int | None = None) -> bytes:
    """JSON text of what was read from a frame. options: orjson's.

    Raises:
        FrameError: it is too deep. Reading goes deeper than writing.
    """
    try:
        return orjson.dumps(value, option=options)
    except orjson.JSONEncodeError:
        raise FrameError("recursion limit exceeded") from None
