"""Errors that code itself may have; ids are stable, and each has a page in docs/rules/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from realtime_hub.wire.filters import Operator

RULES: Final[Mapping[str, tuple[str, str, str]]] = {
    "RH211": (
        "joined-filters",
        "Filters are joined in a way that Realtime does not know",
        "join conditions with commas: a=eq.1,b=eq.2",
    ),
    "RH212": (
        "unknown-operator",
        "The filter's operator does not exist",
        f"use one of {', '.join(Operator)}",
    ),
    "RH213": (
        "subselect",
        "The filter holds a subselect",
        "a filter compares columns of the row with values; look the values up first",
    ),
    "RH214": (
        "on-after-subscribe",
        "Listening begins after the channel was opened",
        "call on() before subscribe()",
    ),
    "RH215": (
        "no-dependencies",
        "An effect without a dependency array opens the channel",
        "give the effect its dependencies: useEffect(() => { ... }, [])",
    ),
    "RH216": (
        "overwritten-handle",
        "The channel's variable is overwritten before the channel is closed",
        "close the first one, or keep both",
    ),
    "RH217": (
        "lost-cleanup",
        "A clean-up is returned, and nobody keeps it",
        "keep what the function returns, and call it where the owner ends",
    ),
    "RH218": (
        "per-request",
        "Each request opens a channel that nothing closes",
        "close it when the request ends, or listen once for the whole process",
    ),
}
"""Name, title and remedy by stable id; all are errors."""
