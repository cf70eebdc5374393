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
    "line_breaks": "Times that the LSN line broke (slot lost), each with a gap",
    "log_changes": "Changes kept in the log",
    "log_bytes": "Bytes of the rows kept in the log",
    "log_waiting_bytes": "Bytes that wait to be made durable, an estimate",
    "log_syncs": "Times that the log was made durable",
    "log_failing": "1 while the log can't be written",
    "log_oldest": "Commit time of the oldest change kept, Unix time in seconds",
    "replaying": "Subscribers that are being given what they missed",
    "replay_passes": "Readings of the log for those who came back",
    "replay_changes": "Changes read by them",
    "replay_deliveries": "Changes handed to subscribers by them",
    "replay_gaps": "Subscribers told that what they missed is not kept",
    "resumable": "Clients whose places are kept",
    "deliveries": "Changes handed to subscribers",
    "withheld": "Verdicts that withheld a change from an identity or cohort",
    "undecided": "Changes withheld because no verdict came",
    "messages": "Broadcasts from the database",
    "messages_late": "Of those, committed before this process began, and left to replay",
    "messages_too_large": "Of those, larger than max_broadcast_bytes, and dropped",
    "channel_policies_asked": "Questions to the policies of private channels",
    "rooms": "Topics with members",
    "policies_compiled": "Verdicts given by compiled policies",
    "policies_asked": "Policies asked of PostgreSQL",
    "policies_raised": "Asked policies that ended with an error or took too long",
    "unchecked_deletes": "Keys of deleted rows given without a check (deletes = compatible)",
}
_GAUGES: Final = frozenset(
    {
        "streaming",
        "received_lsn",
        "confirmed_lsn",
        "log_changes",
        "log_bytes",
        "log_waiting_bytes",
        "log_failing",
        "log_oldest",
        "replaying",
        "rooms",
        "resumable",
    }
)


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
