"""The figures over the last minute, as a reader of the console's endpoint sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

WINDOW: Final = 60.0
_STARTED: Final = "realtime_hub_started"


class Figures:
    """What `/console/api/figures` answered, newest last. A restart of the gateway forgets all."""

    def __init__(self) -> None:
        self._samples: deque[Mapping[str, Any]] = deque()

    def add(self, answer: Mapping[str, Any]) -> None:
        samples = self._samples
        if samples and self._begun(samples[-1]) != self._begun(answer):
            samples.clear()
        samples.append(answer)
        while answer["at"] - samples[0]["at"] > WINDOW:
            samples.popleft()

    @property
    def at(self) -> float:
        """Unix time of the newest answer."""
        return float(self._samples[-1]["at"])

    @property
    def version(self) -> str:
        return str(self._samples[-1]["version"])

    def value(self, name: str) -> float:
        """0 for a metric that is not shown."""
        return float(self._samples[-1]["metrics"].get(name, 0.0))

    def labels(self, name: str) -> dict[str, float]:
        return dict(self._samples[-1]["metrics"].get(name, {}))

    def rate(self, name: str, label: str | None = None) -> float:
        """Per second, between the last two answers; 0 with one alone."""
        if len(self._samples) < 2:
            return 0.0
        before, after = self._samples[-2], self._samples[-1]
        taken = _read(after, name, label) - _read(before, name, label)
        elapsed = float(after["at"]) - float(before["at"])
        return max(0.0, taken) / max(1e-9, elapsed)

    def quantile(self, name: str, q: float) -> float | None:
        """Of a histogram's observations within the window, as `quantile` has it."""
        first, last = self._samples[0], self._samples[-1]
        now = last["metrics"][f"{name}_bucket"]
        then = {} if first is last else first["metrics"][f"{name}_bucket"]
        return quantile(
            ((float(bound), count - then.get(bound, 0.0)) for bound, count in now.items()), q
        )

    @staticmethod
    def _begun(answer: Mapping[str, Any]) -> float:
        return float(answer["metrics"][_STARTED])


def _read(answer: Mapping[str, Any], name: str, label: str | None) -> float:
    found = answer["metrics"].get(name, 0.0)
    return float(found if label is None else (found or {}).get(label, 0.0))


def quantile(buckets: Iterable[tuple[float, float]], q: float) -> float | None:
    """What PromQL's `histogram_quantile` says of cumulative buckets (upper bound, count).

    None without observations. Beyond the last finite bound it is that bound.
    """
    ordered = sorted(buckets)
    if not ordered or ordered[-1][1] <= 0:
        return None
    rank, below, floor = q * ordered[-1][1], 0.0, 0.0
    for bound, count in ordered:
        if count >= rank and count > below:
            if bound == float("inf"):
                return floor
            return floor + (bound - floor) * (rank - below) / (count - below)
        below, floor = count, bound if bound != float("inf") else floor
    return floor
