"""Cursors: Positions that a client can hold and not forge.

    cursor = base64url(version u8 | epoch u56 | lsn u64 | ordinal u32 | tag 16 bytes)

in network byte order; the tag is BLAKE2b over what stands before it, keyed and of 16 bytes
(RFC 7693): a third of what an HMAC costs, which counts since every change is given a cursor.
These are 36 bytes, so the 48 characters have no padding and no spare bits, and there is one
cursor for a Position and a key.
"""

from __future__ import annotations

import binascii
import hmac
import struct
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from realtime_hub.errors import CursorError
from realtime_hub.lsn import Position

_VERSION: Final = 1
_BODY: Final = struct.Struct(">QQI")
_TAG: Final = 16
_LENGTH: Final = 48
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_EXTRACT_SALT: Final = b"realtime-hub"
_EXPAND_INFO: Final = b"cursor"


def cursor_key(secret: bytes) -> bytes:
    """Derive the key that signs cursors from a secret that has other uses too (RFC 5869)."""
    extracted = hmac.digest(_EXTRACT_SALT, secret, "sha256")
    return hmac.digest(extracted, _EXPAND_INFO + b"\x01", "sha256")


def encode_cursor(position: Position, key: bytes) -> str:
    """Write a Position as 48 characters that are safe in URLs.

    Raises:
        struct.error: the Position does not fit the format.
    """
    epoch, lsn, ordinal = position
    body = _BODY.pack(_VERSION << 56 | epoch, lsn, ordinal)
    tag = blake2b(body, digest_size=_TAG, key=key).digest()
    return binascii.b2a_base64(body + tag, newline=False).translate(_TO_URL).decode("ascii")


def decode_cursor(text: str, key: bytes) -> Position:
    """Read what `encode_cursor` wrote with this key.

    Raises:
        CursorError: anything else; which part is wrong is not said.
    """
    if len(text) != _LENGTH or not text.isascii():
        raise CursorError
    try:
        raw = binascii.a2b_base64(text.encode().translate(_FROM_URL), strict_mode=True)
    except binascii.Error:
        raise CursorError from None
    version_and_epoch, lsn, ordinal = _BODY.unpack_from(raw)
    position = Position(version_and_epoch & ((1 << 56) - 1), lsn, ordinal)
    # Compared as text, so that an equal value in another spelling is refused as well.
    if not hmac.compare_digest(encode_cursor(position, key), text):
        raise CursorError
    return position


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads the cursors of one key, which `cursor_key` derives."""

    key: bytes = field(repr=False)

    def write(self, position: Position) -> str:
        """As `encode_cursor` does."""
        return encode_cursor(position, self.key)

    def read(self, text: str) -> Position:
        """As `decode_cursor` does; raises CursorError."""
        return decode_cursor(text, self.key)
