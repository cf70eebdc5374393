"""What a measure would save, from figures measured with Supabase's own SQL on two cores.

Each figure is a range of what was seen, not a promise; the report says what it really saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

PUBLISHED_CPU: Final = (0.15, 0.31)
"""CPU seconds of the database per 1,000 writes to a published table."""
UNPUBLISHED_CPU: Final = 0.009
"""The same for a table that is not published."""
DIRECT_CPU: Final = 18.6
"""CPU seconds per 1,000 changes: 100 users, 5 channels each, under row-level security."""
WALSENDER_CPU: Final = (0.02, 0.15)
"""CPU seconds per 1,000 changes of the one walsender that a gateway reads from."""
SHARED_BINDINGS: Final = 4.0
"""One binding per user instead of five, at 100 users; at one user it saves nothing."""
_FULL_USERS: Final = 100


@dataclass(frozen=True, slots=True)
class Saving:
    """Between `least` and `most`, in `unit`."""

    least: float
    most: float
    unit: str = "CPU s per hour"

    def __str__(self) -> str:
        return f"{self.least:.3g} to {self.most:.3g} {self.unit}"

    def as_json(self) -> dict[str, Any]:
        return {"least": round(self.least, 4), "most": round(self.most, 4), "unit": self.unit}


def unpublishing(writes_per_hour: float) -> Saving:
    """What it saves to take a table with so many writes out: next to nothing if it is quiet."""
    least, most = ((cost - UNPUBLISHED_CPU) * writes_per_hour / 1_000 for cost in PUBLISHED_CPU)
    return Saving(least, most)


def sharing(users: int, bindings: float) -> Saving:
    """By what factor one binding per user instead of several lowers the cost of a change."""
    if users <= 1 or bindings <= 1:
        return Saving(1.0, 1.0, "times")
    measured = 1 + (SHARED_BINDINGS - 1) * min(users, _FULL_USERS) / _FULL_USERS
    most = min(bindings, measured)
    return Saving(1.0, most, "times")


def reading_once(changes_per_hour: float) -> Saving:
    """What one walsender instead of a check per binding saves, at 100 users with 5 channels."""
    least, most = ((DIRECT_CPU - cost) * changes_per_hour / 1_000 for cost in WALSENDER_CPU[::-1])
    return Saving(least, most)
