from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.errors import ReplicationProtocolError
from realtime_hub.wire.replication import (
    PrimaryKeepalive,
    XLogData,
    decode_frame,
    encode_standby_status,
)

# Captured from PostgreSQL 18.6.
KEEPALIVE = b"k\x00\x00\x00\x00\x01\xef\x80`\x00\x03\x03\xe80\xf8\x11<\x00"


def test_a_keepalive_says_how_far_the_server_has_sent() -> None:
    assert decode_frame(KEEPALIVE) == PrimaryKeepalive(0x1EF8060, 0x303E830F8113C, False)
    assert decode_frame(KEEPALIVE[:-1] + b"\x01").reply_requested is True


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary())
def test_xlog_data_carries_its_payload(start: int, end: int, payload: bytes) -> None:
    frame = b"w" + struct.pack(">QQq", start, end, 7) + payload
    expected = XLogData(start, end, 7, payload)
    assert decode_frame(frame) == expected
    assert decode_frame(memoryview(frame)) == expected


@pytest.mark.parametrize("frame", [b"", b"x", b"k", b"w", KEEPALIVE + b"\0", KEEPALIVE[:-1]])
def test_a_frame_of_another_kind_or_length_is_refused(frame: bytes) -> None:
    with pytest.raises(ReplicationProtocolError):
        decode_frame(frame)


@given(st.binary(max_size=40))
def test_arbitrary_frames_raise_nothing_else(frame: bytes) -> None:
    with suppress(ReplicationProtocolError):
        decode_frame(frame)


def test_a_status_reports_the_flushed_lsn_as_applied_too() -> None:
    status = encode_standby_status(written=9, flushed=5, sent_at=-1, reply_requested=True)
    assert status == b"r" + struct.pack(">QQQqB", 9, 5, 5, -1, 1)
    assert encode_standby_status(written=9, flushed=5, sent_at=-1)[-1:] == b"\0"
