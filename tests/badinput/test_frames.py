"""WebSocket and Phoenix frames that break their rules."""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest

from tests.badinput.conftest import ANON
from tests.badinput.rawsocket import BINARY, PING, PONG, TEXT, RawSocket, frame
from tests.support.stand import Stand

pytestmark = pytest.mark.postgres

MEGABYTE = 1_000_000


def _join(ref: str = "1") -> bytes:
    return json.dumps([ref, ref, "realtime:room", "phx_join", {"config": {}}]).encode()


DROPPED = {
    "not JSON": b"hello",
    "empty": b"",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep payload": b'[null,"1","realtime:x","phx_join",'
    + b'{"a":' * 100_000
    + b"1"
    + b"}" * 100_001,
    "a number": b"17",
    "null": b"null",
    "NaN": b'[null,"1","realtime:x","phx_join",{"a":NaN}]',
    "an integer of a thousand digits as ref": b"[null,"
    + b"9" * 1000
    + b',"phoenix","heartbeat",{}]',
    "too short an array": b'[null,"1","phoenix"]',
    "too long an array": b'[null,"1","phoenix","heartbeat",{},{}]',
    "a version 1 frame": b'{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
    "payload null": b'[null,"1","phoenix","heartbeat",null]',
    "topic a number": b'[null,"1",7,"heartbeat",{}]',
    "event null": b'[null,"1","phoenix",null,{}]',
    "refs that are objects": b'[{},{},"phoenix","heartbeat",{}]',
    "a topic of a megabyte": json.dumps(
        [None, "1", "realtime:" + "x" * MEGABYTE, "phx_join", {}]
    ).encode(),
    "a ref of a megabyte": json.dumps([None, "1" * MEGABYTE, "phoenix", "heartbeat", {}]).encode(),
    "a lone surrogate": b'[null,"1","realtime:\\ud800","phx_join",{}]',
}


@pytest.mark.parametrize("name", DROPPED)
async def test_a_malformed_frame_is_dropped_and_the_connection_stays(
    stand: Stand, name: str
) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, DROPPED[name])
        assert await raw.alive()


async def test_a_version_2_frame_on_a_version_1_connection_is_dropped(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON, vsn="1.0.0") as raw:
        await raw.send(TEXT, _join())
        await raw.send(TEXT, b'{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}')
        received = await raw.receive()
        assert received is not None
        assert json.loads(received.payload)["topic"] == "phoenix"


async def test_duplicate_keys_are_taken_as_json_readers_do(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, b'["1","1","realtime:r","phx_join",{"config":{},"config":{}}]')
        received = await raw.receive()
        assert received is not None
        assert json.loads(received.payload)[4]["status"] == "ok"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x03",
        b"\x03\x01\x01",
        b"\x03\xff\xff\xff\xff\xff\x01short",
        b"\x03\x01\x01\x0f\x01\x00\x0167realtime:room:1e{",
        b"\x00" * 100,
        bytes(range(256)),
        b"\xff" * MEGABYTE,
    ],
    ids=["empty", "kind", "cut", "lengths", "json", "zeros", "all", "large"],
)
async def test_a_truncated_or_odd_binary_frame_harms_nobody(stand: Stand, payload: bytes) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(BINARY, payload)
        assert await raw.alive()


async def test_text_that_is_not_utf8_is_dropped_or_ends_its_connection(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, b'[null,"1","\xff\xfe","heartbeat",{}]')
        assert await raw.alive() or await raw.closed_with() == 1007


BREAKS = {
    "an opcode that does not exist": (frame(0x3, b"x"), {1002}),
    "a control opcode that does not exist": (frame(0xB, b"x"), {1002}),
    "a reserved bit": (frame(TEXT, b"x", reserved=2), {1002}),
    "a compressed frame, which nobody agreed on": (
        frame(TEXT, zlib.compress(b"0" * 50 * MEGABYTE), reserved=4),
        {1002},
    ),
    "an oversized control frame": (frame(PING, b"x" * 126), {1002}),
    "a fragmented control frame": (frame(PING, b"x", final=False), {1002}),
    "a continuation of nothing": (frame(0x0, b"x"), {1002}),
    "a new message inside another": (
        frame(TEXT, b"x", final=False) + frame(TEXT, b"y"),
        {1002},
    ),
    "a close with half a code": (frame(0x8, b"\x03"), {1002}),
    "a close with a code that is not sent": (frame(0x8, b"\x03\xed"), {1002, 1005}),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_broken_frame_ends_its_connection_with_a_code(stand: Stand, name: str) -> None:
    data, codes = BREAKS[name]
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.write(data)
        assert await raw.closed_with() in codes


async def test_a_frame_over_the_limit_ends_its_connection_with_1009(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, b"x" * (5 * MEGABYTE + 1))
        assert await raw.closed_with() in (1009, 1006)


async def test_fragments_that_add_up_to_too_much_end_their_connection(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, b"x", final=False)
        for _ in range(60):
            await raw.send(0x0, b"x" * 100_000, final=False)
        assert await raw.closed_with() in (1009, 1006)


async def test_a_flood_of_small_fragments_harms_nobody(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, b"[", final=False)
        await raw.write(frame(0x0, b" ", final=False) * 20_000)
        await raw.send(0x0, b'null,"1","phoenix","heartbeat",{}]')
        received = await raw.receive()
        assert received is not None
        assert received.opcode == TEXT


async def test_a_flood_of_pings_is_answered_and_harms_nobody(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.write(frame(PING, b"x") * 5_000)
        for _ in range(5_000):
            received = await raw.receive()
            assert received is not None
            assert (received.opcode, received.payload) == (PONG, b"x")


async def test_an_unmasked_frame_harms_nobody(stand: Stand) -> None:
    """RFC 6455 has the server close; a server that reads it as it is does no harm either."""
    async with await RawSocket.connected(stand.url, ANON) as raw:
        await raw.send(TEXT, b'[null,"1","phoenix","heartbeat",{}]', masked=False)
        received = await raw.receive()
        assert received is None or received.opcode in (TEXT, 0x8)


async def test_a_large_frame_under_the_limit_is_read(stand: Stand) -> None:
    async with await RawSocket.connected(stand.url, ANON) as raw:
        payload = {"config": {}, "filler": "x" * 4 * MEGABYTE}
        await raw.send(TEXT, json.dumps(["1", "1", "realtime:r", "phx_join", payload]).encode())
        received = await raw.receive()
        assert received is not None
        assert json.loads(received.payload)[4]["status"] == "ok"


@pytest.mark.slow
async def test_a_handshake_that_never_ends_is_cut_off(stand: Stand) -> None:
    async with await RawSocket.open(stand.url) as raw:
        await raw.write(b"GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\n")
        for _ in range(300):
            await raw.write(b"X-Slow: 1\r\n")
            if raw.reader.at_eof() or not await _silent(raw):
                return
        raise AssertionError("still open")


async def _silent(raw: RawSocket) -> bool:
    """Wait a moment; whether the connection is still open and nothing came."""
    try:
        async with asyncio.timeout(0.1):
            await raw.reader.read(1)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    return False
