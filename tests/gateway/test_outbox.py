"""The outbound queue over real sockets: one write a turn, shared bytes, and its limit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from realtime_hub.gateway.outbox import Flusher, Outbox

LIMIT = 100_000


class Peer:
    """A socket pair: our transport with an outbox, and the far end as a plain socket."""

    def __init__(self, transport: asyncio.Transport, far: socket.socket, flusher: Flusher) -> None:
        self.transport = transport
        self.far = far
        self.overflows = 0
        self.outbox = Outbox(transport, flusher, limit=LIMIT, on_overflow=self._overflow)

    def _overflow(self) -> None:
        self.overflows += 1

    async def receive(self, size: int) -> bytes:
        loop, data = asyncio.get_running_loop(), b""
        while len(data) < size and (more := await loop.sock_recv(self.far, size - len(data))):
            data += more
        return data


@asynccontextmanager
async def connected(flusher: Flusher) -> AsyncIterator[Peer]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    try:
        yield Peer(transport, far, flusher)
    finally:
        transport.abort()
        far.close()
        await asyncio.sleep(0)


@pytest.fixture
async def flusher() -> Flusher:
    return Flusher(asyncio.get_running_loop())


async def test_all_frames_of_a_turn_leave_in_order_in_one_write(flusher: Flusher) -> None:
    async with connected(flusher) as peer:
        for frame in (b"one", b"two", b"three"):
            peer.outbox.put(frame)
        assert flusher.statistics.writes == 0
        assert await peer.receive(11) == b"onetwothree"
        assert flusher.statistics.writes == 1
        assert (flusher.statistics.frames, flusher.statistics.bytes) == (3, 11)


async def test_a_later_turn_is_a_later_write(flusher: Flusher) -> None:
    async with connected(flusher) as peer:
        peer.outbox.put(b"one")
        await asyncio.sleep(0)
        peer.outbox.put(b"two")
        assert await peer.receive(6) == b"onetwo"
        assert flusher.statistics.writes == 2


async def test_sockets_with_the_same_frames_share_their_bytes(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(flusher) as a, connected(flusher) as b, connected(flusher) as c:
        written: list[bytes] = []
        monkeypatch.setattr(Outbox, "write", lambda _, data, __: written.append(data))
        for peer, frames in ((a, (b"x", b"y")), (b, (b"x", b"z")), (c, (b"x", b"y"))):
            for frame in frames:
                peer.outbox.put(frame)
        await asyncio.sleep(0)
        assert written == [b"xy", b"xz", b"xy"]
        assert written[0] is written[2]


async def test_a_client_that_does_not_read_is_cut_off_once_and_others_are_not(
    flusher: Flusher,
) -> None:
    async with connected(flusher) as slow, connected(flusher) as quick:
        sent = 0
        while not slow.outbox.closed:
            slow.outbox.put(b"x" * 10_000)
            quick.outbox.put(b"y" * 10_000)
            sent += 1
            assert await quick.receive(10_000) == b"y" * 10_000
            assert sent < 1_000
        slow.outbox.put(b"late")
        await asyncio.sleep(0)
        assert (slow.overflows, quick.overflows) == (1, 0)
        assert not quick.outbox.closed
        assert flusher.statistics.slow_closes == 1
        assert slow.outbox.waiting <= LIMIT + 10_000


async def test_a_burst_within_one_turn_meets_the_limit_too(flusher: Flusher) -> None:
    async with connected(flusher) as peer:
        for _ in range(1_000):
            peer.outbox.put(b"x" * 10_000)
        assert peer.overflows == 1
        assert peer.outbox.waiting < LIMIT + 300_000


async def test_what_was_written_before_the_limit_is_whole_and_in_order(flusher: Flusher) -> None:
    async with connected(flusher) as peer:
        number = 0
        while not peer.outbox.closed:
            peer.outbox.put(f"{number:09d},".encode() * 1_000)
            number += 1
            await asyncio.sleep(0)
        expected = b"".join(f"{n:09d},".encode() * 1_000 for n in range(number))
        assert await peer.receive(len(expected)) == expected


async def test_closing_writes_what_waits_and_takes_nothing_more(flusher: Flusher) -> None:
    async with connected(flusher) as peer:
        peer.outbox.put(b"one")
        peer.outbox.close()
        peer.outbox.put(b"late")
        assert await peer.receive(3) == b"one"
        await asyncio.sleep(0)
        assert flusher.statistics.writes == 1


async def test_nothing_is_written_to_a_transport_that_is_closing(flusher: Flusher) -> None:
    async with connected(flusher) as peer:
        peer.outbox.put(b"one")
        peer.transport.close()
        await asyncio.sleep(0)
        assert flusher.statistics.frames == 0


async def test_whoever_wants_to_know_is_told_after_each_flush() -> None:
    flushes = 0

    def count() -> None:
        nonlocal flushes
        flushes += 1

    flusher = Flusher(asyncio.get_running_loop(), after_flush=count)
    async with connected(flusher) as peer:
        peer.outbox.put(b"one")
        peer.outbox.put(b"two")
        assert await peer.receive(6) == b"onetwo"
        assert flushes == 1
