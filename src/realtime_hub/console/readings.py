"""What the console shows, as JSON values. Everything is read when it is asked for.

The figures are the metrics themselves, under the names that Prometheus knows them by, so that
page, terminal and dashboard can't disagree.
"""

from __future__ import annotations

import time
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from realtime_hub import __version__
from realtime_hub.gateway.census import DEPTHS, Census, ConnectionReport, UserCount

MOST_USERS: Final = 100
MOST_TOPICS: Final = 50
MOST_WAITING: Final = 20

Json = dict[str, Any]


def figures(registry: CollectorRegistry) -> Json:
    """All metrics as `name -> value`, or `name -> {label value: value}`.

    Histograms stand as their samples do, buckets by their upper bound. at: Unix time.
    """
    metrics: Json = {}
    for family in registry.collect():
        metrics.update(_samples(family))
    return {"at": time.time(), "version": __version__, "metrics": metrics}


def _samples(family: Metric) -> Json:
    found: Json = {}
    for sample in family.samples:
        if sample.labels:
            found.setdefault(sample.name, {})["/".join(sample.labels.values())] = sample.value
        else:
            found[sample.name] = sample.value
    return found


def explanations(registry: CollectorRegistry) -> Json:
    """What each metric says, in the words of /metrics. sample: the name of its value, for
    histograms of the number of observations."""
    return {
        "metrics": [
            {
                "name": family.name if family.type == "histogram" else _sample_of(family),
                "type": family.type,
                "help": family.documentation,
                "sample": _sample_of(family),
            }
            for family in registry.collect()
        ]
    }


def _sample_of(family: Metric) -> str:
    return family.name + {"histogram": "_count", "counter": "_total"}.get(family.type, "")


def channels(census: Census) -> Json:
    """The census with its longest entries first, cut where an operator stops to read."""
    users = sorted(census.users.items(), key=lambda item: -item[1].channels)
    waiting = sorted(census.waiting, key=lambda report: -report.queued_bytes)
    return {
        "at": time.time(),
        "connections": census.connections,
        "channels": census.channels,
        "duplicates": sum(user.duplicates.total() for user in census.users.values()),
        "users_total": len(users),
        "users": [_user(*key, user) for key, user in users[:MOST_USERS]],
        "topics_total": len(census.topics),
        "topics": [
            {"topic": topic, "private": private, "channels": count}
            for (topic, private), count in census.topics.most_common(MOST_TOPICS)
        ],
        "slow_total": len(waiting),
        "slow": [_connection(report) for report in waiting[:MOST_WAITING]],
        "depths": [
            {"up_to": bound, "connections": count}
            for bound, count in zip((*DEPTHS, None), census.depths, strict=True)
        ],
    }


def _user(role: str, subject: str, user: UserCount) -> Json:
    return {
        "role": role,
        "subject": subject,
        "connections": user.connections,
        "channels": user.channels,
        "queued_bytes": user.queued_bytes,
        "duplicates": user.duplicates.total(),
        "tables": [
            {"table": table, "bindings": count, "duplicates": user.duplicates[table]}
            for table, count in user.tables.most_common()
        ],
    }


def _connection(report: ConnectionReport) -> Json:
    return {
        "kind": report.kind,
        "role": report.role,
        "subject": report.subject,
        "channels": len(report.channels),
        "queued_bytes": report.queued_bytes,
    }
