"""The walsender's CopyData frames: logical messages and keepalives in, standby status out.

Formats: PostgreSQL documentation, "Streaming Replication Protocol", START_REPLICATION.
Times are microseconds since 2000-01-01 UTC, PostgreSQL's epoch.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from realtime_hub.errors import ReplicationProtocolError

POSTGRES_EPOCH: Final = 946_684_800_000_000
"""PostgreSQL's epoch in microseconds since the Unix epoch."""


class XLogData(NamedTuple):
    """One message of the output plugin. sent_at: the server's clock, PostgreSQL epoch."""

    start_lsn: int
    end_lsn: int
    sent_at: int
    data: bytes


class PrimaryKeepalive(NamedTuple):
    """The server has sent everything up to end_lsn. sent_at: as in XLogData.

    reply_requested: the server ends the connection unless a status follows soon.
    """

    end_lsn: int
    sent_at: int
    reply_requested: bool


def decode_frame(frame: bytes | memoryview) -> XLogData | PrimaryKeepalive:
    """Read the content of one CopyData message.

    Raises:
        ReplicationProtocolError: the frame is truncated or of another kind.
    """
    kind = frame[0] if frame else None
    if kind == _XLOG_DATA:
        if len(frame) < _XLOG_HEADER:
            raise ReplicationProtocolError("XLogData is truncated", offset=len(frame))
        start_lsn, end_lsn, sent_at = _xlog_data(frame)
        return _new(XLogData, (start_lsn, end_lsn, sent_at, bytes(frame[_XLOG_HEADER:])))
    if kind == _KEEPALIVE:
        if len(frame) != _keepalive.size:
            raise ReplicationProtocolError("keepalive of a wrong length", offset=len(frame))
        end_lsn, sent_at, reply = _keepalive.unpack(frame)
        return PrimaryKeepalive(end_lsn, sent_at, reply != 0)
    raise ReplicationProtocolError(f"unknown frame {bytes(frame[:1])!r}", offset=0)


def encode_standby_status(
    *, written: int, flushed: int, sent_at: int, reply_requested: bool = False
) -> bytes:
    """Write a standby status update; the slot keeps the WAL from `flushed` (an LSN) on.

    A `flushed` of 0 tells nothing. sent_at: our clock, PostgreSQL epoch.
    """
    return _status.pack(b"r", written, flushed, flushed, sent_at, reply_requested)


_new = tuple.__new__  # a NamedTuple's own constructor takes three times as long
_XLOG_DATA, _KEEPALIVE = b"wk"
_XLOG_HEADER: Final = 25
_xlog_data = Struct(">xQQq").unpack_from
_keepalive = Struct(">xQqB")
_status = Struct(">cQQQqB")
