"""What was appended and is not durable yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from sys import getsizeof
from typing import Final

from realtime_hub.changes import Change
from realtime_hub.hub.ports import Batch

_SAMPLE: Final = 4
_CHANGE_BYTES: Final = 400  # a Change, its Position and its tuples, without the values


class Waiting:
    """Batches in the order of their coming, with an estimate of the memory they hold."""

    def __init__(self) -> None:
        self.changes = 0
        self.bytes = 0
        self._batches: deque[tuple[Batch, int]] = deque()

    def add(self, batch: Batch) -> None:
        size = _estimate(batch.changes)
        self._batches.append((batch, size))
        self.changes += len(batch.changes)
        self.bytes += size

    def remove(self, batches: int) -> None:
        """The oldest have become durable."""
        for _ in range(batches):
            batch, size = self._batches.popleft()
            self.changes -= len(batch.changes)
            self.bytes -= size

    def snapshot(self) -> list[Sequence[Change]]:
        return [batch.changes for batch, _ in self._batches if batch.changes]


def _estimate(changes: Sequence[Change]) -> int:
    """Bytes of memory, from a few changes: to measure each would cost more than to keep it."""
    sample = changes[:: max(1, len(changes) // _SAMPLE)]
    if not sample:
        return 0
    measured = sum(
        sum(map(getsizeof, change.new or ())) + sum(map(getsizeof, change.old or ()))
        for change in sample
    )
    return len(changes) * (_CHANGE_BYTES + measured // len(sample))
