"""What the stream, the dispatcher and the authoriser count, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_HELP: Final = {
    "streaming": "1 while the replication stream is read",
    "received_lsn": "Last position heard from the server, as a number",
    "confirmed_lsn": "Position up to which the WAL is no longer needed, as a number",
    "reconnects": "Replication sessions after the first",
    "changes": "Changes taken from the stream",
    "repeated": "Changes that came again after a reconnect and were dropped",
    "deliveries": "Changes handed to subscribers",
    "withheld": "Verdicts that withheld a change from an identity or cohort",
    "undecided": "Changes withheld because no verdict came",
    "policies_compiled": "Verdicts given by compiled policies",
    "policies_asked": "Policies asked of PostgreSQL",
    "policies_raised": "Asked policies that ended with an error or took too long",
    "unchecked_deletes": "Keys of deleted rows given without a check (deletes = compatible)",
}
_GAUGES: Final = frozenset({"streaming", "received_lsn", "confirmed_lsn"})


class HubMetrics(Collector):
    """Metrics from a reading of counters, taken when they are scraped.

    read: the present values by the names above; those it leaves out are not shown.
    """

    def __init__(
        self, registry: CollectorRegistry, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._read = read
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for name, value in self._read().items():
            family = GaugeMetricFamily if name in _GAUGES else CounterMetricFamily
            yield family(f"realtime_hub_{name}", _HELP[name], value=value)
