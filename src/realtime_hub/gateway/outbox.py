"""One connection's outbound queue: frames encoded once, sent in one write per loop turn.

The system call is the price of a delivery, so all that a loop turn brings for a socket leaves
together, and sockets with the same frames share the joined bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_EARLY: Final = 256 * 1024
"""Bytes gathered in one turn after which they are written at once, so that a burst meets the
socket's own back-pressure instead of growing here."""


@dataclass(slots=True)
class OutboxStatistics:
    """Counted since the start, over all connections."""

    frames: int = 0
    bytes: int = 0
    writes: int = 0
    slow_closes: int = 0


class Flusher:
    """Writes what outboxes have gathered, once per loop turn. Owned by one event loop.

    after_flush: called when the turn's frames have been written.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        statistics: OutboxStatistics | None = None,
        *,
        after_flush: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._dirty: list[Outbox] = []
        self._after_flush = after_flush
        self.statistics = OutboxStatistics() if statistics is None else statistics

    def schedule(self, outbox: Outbox) -> None:
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(outbox)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        joined: dict[tuple[bytes, ...], bytes] = {}
        last: list[bytes] = []
        data = b""
        for outbox in dirty:
            frames = outbox.take()
            if not frames:
                continue  # written early, or closed
            if frames != last:
                data, last = _join(frames, joined), frames
            outbox.write(data, len(frames))
        if self._after_flush is not None:
            self._after_flush()


def _join(frames: list[bytes], joined: dict[tuple[bytes, ...], bytes]) -> bytes:
    if len(frames) == 1:
        return frames[0]
    key = tuple(frames)  # cheap to hash: bytes keep their hash
    data = joined.get(key)
    if data is None:
        data = joined[key] = b"".join(frames)
    return data


class Outbox:
    """The frames waiting for one socket; at most `limit` bytes wait for its peer to read.

    Past the limit nothing more is taken and `on_overflow` is called, once: what was written
    stays whole and in order, so a client that comes back can resume after it.
    """

    __slots__ = (
        "_flusher",
        "_frames",
        "_limit",
        "_on_overflow",
        "_size",
        "_statistics",
        "_transport",
        "closed",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        flusher: Flusher,
        *,
        limit: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._statistics = flusher.statistics
        self._limit = limit
        self._on_overflow = on_overflow
        self._frames: list[bytes] = []
        self._size = 0
        self.closed = False

    @property
    def waiting(self) -> int:
        """Bytes not yet taken by the kernel."""
        return self._size + self._transport.get_write_buffer_size()

    def put(self, frame: bytes) -> None:
        """Queue a complete WebSocket frame; never blocks. Nothing happens once closed."""
        if self.closed:
            return
        if not self._frames:
            self._flusher.schedule(self)
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > _EARLY:
            self.flush()

    def take(self) -> list[bytes]:
        """Hand over the waiting frames, to be written by the caller."""
        frames = self._frames
        if frames:
            self._frames = []
            self._size = 0
        return frames

    def flush(self) -> None:
        """Write what waits without waiting for the end of the turn."""
        frames = self.take()
        if frames:
            self.write(b"".join(frames), len(frames))

    def write(self, data: bytes, frames: int) -> None:
        """Write `data`, which holds `frames` frames, and look how much the peer leaves unread."""
        transport = self._transport
        if self.closed or transport.is_closing():
            return
        transport.write(data)
        statistics = self._statistics
        statistics.frames += frames
        statistics.bytes += len(data)
        statistics.writes += 1
        if transport.get_write_buffer_size() > self._limit:
            self.closed = True
            statistics.slow_closes += 1
            self._on_overflow()

    def close(self) -> None:
        """Write what waits, and take nothing more."""
        if not self.closed:
            self.flush()
        self.closed = True
