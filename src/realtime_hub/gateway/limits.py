"""What one connection, and all of them, may take from this server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

WINDOW: Final = 60.0  # seconds over which rates are averaged


class CloseCode(IntEnum):
    """Why a WebSocket is closed. Clients reconnect and join again, but for REPLACED.

    4000 to 4999 are for applications (RFC 6455, section 7.4.2).
    """

    GOING_AWAY = 1001  # too many joins per second, as the real server closes then
    SERVICE_RESTART = 1012  # this server stops; come back, perhaps to another
    IDLE = 4008  # nothing came in for too long
    TOO_SLOW = 4009  # the client reads slower than its changes come; resume where you stopped
    REPLACED = 4010  # a newer connection has this one's resume name; stay away


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Limits of the gateway. Sizes in bytes, times in seconds.

    max_joins_per_second, max_messages_per_second: of one connection, averaged over a minute, as
    are those of all connections (`_overall`, and max_presence_per_second). A channel may call
    presence max_presence_calls times in presence_call_window. channel_policy_ttl: after which
    the policies of private channels are asked again. max_queued_bytes: what may wait for one
    socket before it is closed as too slow. idle_timeout: without an inbound frame.
    handshake_timeout: until the first request of a TCP connection is complete.
    allowed_origins: exact values of the Origin header, in lower case; None for any.
    """

    max_connections: int = 10_000
    max_channels_per_connection: int = 100
    max_joins_per_second: int = 100
    max_joins_per_second_overall: int = 2_500
    max_messages_per_second: int = 100
    max_messages_per_second_overall: int = 2_500
    max_presence_per_second: int = 1_000
    max_presence_calls: int = 5
    presence_call_window: float = 30.0
    max_broadcast_bytes: int = 3_000_500
    private_only: bool = False
    channel_policy_ttl: float = 300.0
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
    """Counts events in a sliding window, in steps of a second at the most.

    Times come from the caller and never go back.
    """

    __slots__ = ("_counts", "_step", "_total", "_window", "limit")

    def __init__(self, per_second: float, window: float = WINDOW) -> None:
        self.limit = round(per_second * window)
        self._window = window
        self._step = min(1.0, window / 10)
        # When a step began, and the events in it. A list: there are few, and every connection
        # has two windows, where an empty deque would take ten times as much.
        self._counts: list[tuple[float, int]] = []
        self._total = 0

    def allow(self, now: float, events: int = 1) -> bool:
        """Count events unless they are too many."""
        self._forget(now)
        if self._total + events > self.limit:
            return False
        counts = self._counts
        if counts and now - counts[-1][0] < self._step:
            begun, count = counts.pop()
            counts.append((begun, count + events))
        else:
            counts.append((now, events))
        self._total += events
        return True

    def rate(self, now: float) -> float:
        """Events a second, averaged over the window."""
        self._forget(now)
        return self._total / self._window

    def _forget(self, now: float) -> None:
        counts, start = self._counts, now - self._window
        while counts and counts[0][0] <= start:
            self._total -= counts.pop(0)[1]


class SharedLimits:
    """What all connections of a gateway may take together.

    reached: how often each limit was met, by the code that docs/errors.md lists; of single
    connections too.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.joins = RateWindow(settings.max_joins_per_second_overall)
        self.messages = RateWindow(settings.max_messages_per_second_overall)
        self.presence = RateWindow(settings.max_presence_per_second)
        self.reached: Counter[str] = Counter()
