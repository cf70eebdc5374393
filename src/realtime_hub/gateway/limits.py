"""What one connection, and all of them, may take from this server."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

JOIN_WINDOW: Final = 60.0  # seconds over which the join rate is averaged


class CloseCode(IntEnum):
    """Why a WebSocket is closed. Clients reconnect and join again after each of them.

    4000 to 4999 are for applications (RFC 6455, section 7.4.2).
    """

    GOING_AWAY = 1001  # too many joins per second, as the real server closes then
    SERVICE_RESTART = 1012  # this server stops; come back, perhaps to another
    IDLE = 4008  # nothing came in for too long
    TOO_SLOW = 4009  # the client reads slower than its changes come; resume where you stopped


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Limits of the gateway. Sizes in bytes, times in seconds.

    max_joins_per_second: of one connection, averaged over a minute. max_queued_bytes: what may
    wait for one socket before it is closed as too slow. idle_timeout: without an inbound frame.
    handshake_timeout: until the first request of a TCP connection is complete.
    allowed_origins: exact values of the Origin header, in lower case; None for any.
    """

    max_connections: int = 10_000
    max_channels_per_connection: int = 100
    max_joins_per_second: int = 100
    max_bindings_per_channel: int = 100
    max_frame_bytes: int = 5_000_000
    max_queued_bytes: int = 4 * 1024 * 1024
    idle_timeout: float = 60.0
    handshake_timeout: float = 15.0
    close_timeout: float = 5.0
    allowed_origins: frozenset[str] | None = None

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a page of this origin may connect; what is not a browser sends none."""
        if self.allowed_origins is None or origin is None:
            return True
        return origin.lower() in self.allowed_origins


class RateWindow:
    """Counts events in a sliding window. Times come from the caller and never go back."""

    __slots__ = ("_limit", "_times", "_window")

    def __init__(self, per_second: float, window: float = JOIN_WINDOW) -> None:
        self._limit = int(per_second * window)
        self._window = window
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count an event unless it is one too many."""
        times, start = self._times, now - self._window
        while times and times[0] <= start:
            times.popleft()
        if len(times) >= self._limit:
            return False
        times.append(now)
        return True
