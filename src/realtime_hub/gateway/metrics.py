"""What the gateway counts, as Prometheus reads it.

Hot paths add to plain integers; they become metrics when they are scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from realtime_hub.gateway.outbox import OutboxStatistics
from realtime_hub.hub.rooms import RoomStatistics

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class GatewaySnapshot:
    """The gauges at one moment."""

    connections: int = 0
    channels: int = 0
    queued_bytes: int = 0


class LatencyHistogram:
    """Seconds in fixed buckets; `observe` costs a bisection."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(_BUCKETS) + 1)
        self._sum = 0.0

    @property
    def count(self) -> int:
        return sum(self._counts)

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(_BUCKETS, seconds)] += 1
        self._sum += seconds

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        total, buckets = 0, []
        for bound, count in zip((*map(str, _BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self._sum)


class GatewayMetrics(Collector):
    """All of the gateway's metrics, registered in the registry that is passed in.

    outbox: filled by the Flusher. joins: by outcome code, "ok" among them. refusals: of single
    bindings, by code. handshakes: by HTTP status. limits and rooms: replaced by those that count.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.outbox = OutboxStatistics()
        self.gaps = 0
        self.frames_received = 0
        self.frames_malformed = 0
        self.joins: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.handshakes: Counter[str] = Counter()
        self.latency = LatencyHistogram()
        self.limits: Counter[str] = Counter()
        self.rooms = RoomStatistics()
        self.snapshot: Callable[[], GatewaySnapshot] = GatewaySnapshot
        self._commit_times: list[int] = []
        registry.register(self)

    def note_commit_time(self, microseconds: int) -> None:
        """A change committed then has been encoded for the first time in this loop turn."""
        self._commit_times.append(microseconds)

    def observe_latency(self, now: float) -> None:
        """What was noted has now been written; `now` is Unix time in seconds.

        Another machine's clock may be ahead of ours: a negative latency counts as none.
        """
        if self._commit_times:
            times, self._commit_times = self._commit_times, []
            for microseconds in times:
                self.latency.observe(max(0.0, now - microseconds / 1e6))

    def counters(self) -> dict[str, int]:
        """The plain counts, as `/api/stats` shows them."""
        return {
            "frames_sent": self.outbox.frames,
            "bytes_sent": self.outbox.bytes,
            "writes": self.outbox.writes,
            "slow_closes": self.outbox.slow_closes,
            "frames_received": self.frames_received,
            "frames_malformed": self.frames_malformed,
            "gaps_announced": self.gaps,
            "joins": self.joins["ok"],
            "joins_refused": self.joins.total() - self.joins["ok"],
            "bindings_refused": self.refusals.total(),
            "broadcasts": self.rooms.broadcasts,
            "broadcast_deliveries": self.rooms.deliveries,
            "presence_diffs": self.rooms.diffs,
            "limits_reached": self.limits.total(),
        }

    def collect(self) -> Iterator[Metric]:
        now, rooms = self.snapshot(), self.rooms
        yield _gauge("connections", "Open WebSocket connections", now.connections)
        yield _gauge("channels", "Channels joined or being joined", now.channels)
        yield _gauge("queued_bytes", "Bytes that clients have not read yet", now.queued_bytes)
        for name, text, value in (
            ("frames_sent", "WebSocket frames sent", self.outbox.frames),
            ("bytes_sent", "Bytes sent in WebSocket frames", self.outbox.bytes),
            ("writes", "Writes to sockets", self.outbox.writes),
            ("slow_closes", "Connections closed as too slow", self.outbox.slow_closes),
            ("frames_received", "WebSocket frames received", self.frames_received),
            ("frames_malformed", "Frames dropped as malformed", self.frames_malformed),
            ("gaps_announced", "Gaps announced to channels", self.gaps),
            ("broadcasts", "Broadcasts taken, from wherever", rooms.broadcasts),
            ("broadcast_deliveries", "Broadcasts handed to channels", rooms.deliveries),
            ("broadcasts_unsuited", "Broadcasts without a form for a version", rooms.unsuited),
            ("presence_diffs", "Presence diffs made", rooms.diffs),
            (
                "presence_deliveries",
                "Presence diffs handed to channels",
                rooms.diff_deliveries,
            ),
        ):
            yield CounterMetricFamily(_full(name), text, value=value)
        yield _by_label("limits_reached", "Limits of rooms reached by code", "code", self.limits)
        yield _by_label("joins", "Channel joins by outcome", "code", self.joins)
        yield _by_label("bindings_refused", "Bindings refused by code", "code", self.refusals)
        yield _by_label("handshakes", "Handshakes by HTTP status", "status", self.handshakes)
        yield self.latency.family(
            _full("commit_to_send_seconds"), "From the commit of a change to its first write"
        )


def _full(name: str) -> str:
    return f"realtime_hub_gateway_{name}"


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_full(name), text, value=value)


def _by_label(name: str, text: str, label: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(_full(name), text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
