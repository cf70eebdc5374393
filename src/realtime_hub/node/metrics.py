"""What the stream, the slot, the dispatcher and the authoriser count, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime_hub.changes import TableName
from realtime_hub.postgres.slotwatch import SlotReading, SlotWarning

_SLOT: Final = {
    "active": "1 while a walsender reads the slot",
    "lag_bytes": "WAL written since what was confirmed last",
    "retained_wal_bytes": "WAL that the server keeps for the slot",
    "safe_wal_bytes": "WAL that may be written before the slot is in danger; absent without limit",
    "wal_limit_bytes": "max_slot_wal_keep_size; absent where it is not set",
    "read": "When PostgreSQL was asked last, Unix time in seconds",
}
_WAL_STATUS: Final = ("reserved", "extended", "unreserved", "lost")
_HELP: Final = {
    "started": "When this process began, Unix time in seconds",
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
    "policies_kept": "Verdicts with an answer of PostgreSQL's that was kept",
    "policies_asked": "Policies asked of PostgreSQL",
    "policies_raised": "Asked policies that ended with an error or took too long",
    "unchecked_deletes": "Keys of deleted rows given without a check (deletes = compatible)",
}
_GAUGES: Final = frozenset(
    {
        "started",
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


class SlotMetrics(Collector):
    """Metrics of the replication slot; none before PostgreSQL was asked for the first time."""

    def __init__(self, registry: CollectorRegistry, read: Callable[[], SlotReading | None]) -> None:
        self._read = read
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        reading = self._read()
        if reading is None:
            return
        values = {
            "active": float(reading.active),
            "lag_bytes": reading.lag,
            "retained_wal_bytes": reading.retained,
            "safe_wal_bytes": reading.safe,
            "wal_limit_bytes": reading.limit,
            "read": reading.read_at,
        }
        for name, value in values.items():
            if value is not None:
                yield GaugeMetricFamily(f"realtime_hub_slot_{name}", _SLOT[name], value=value)
        yield _states(
            "slot_wal_status", "1 for the slot's wal_status", _WAL_STATUS, {reading.wal_status}
        )
        yield _states(
            "slot_warning", "1 for what is wrong with the slot", SlotWarning, reading.warnings()
        )


class TableMetrics(Collector):
    """Changes and listeners by table."""

    def __init__(
        self,
        registry: CollectorRegistry,
        changes: Callable[[], Mapping[tuple[str, str], int]],
        listeners: Callable[[], Mapping[TableName, int]],
    ) -> None:
        self._changes = changes
        self._listeners = listeners
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        taken = CounterMetricFamily(
            "realtime_hub_table_changes", "Changes taken from the stream", labels=["table"]
        )
        for name, count in sorted(self._changes().items()):
            taken.add_metric([str(TableName(*name))], count)
        yield taken
        listening = GaugeMetricFamily(
            "realtime_hub_table_listeners", "Bindings that name the table", labels=["table"]
        )
        for name, count in sorted(self._listeners().items()):
            listening.add_metric([str(TableName(*name))], count)
        yield listening


def _states(
    name: str, text: str, states: Iterable[str], present: Collection[str | None]
) -> GaugeMetricFamily:
    label = name.rpartition("_")[2]
    family = GaugeMetricFamily(f"realtime_hub_{name}", text, labels=[label])
    for state in states:
        family.add_metric([state], float(state in present))
    return family
