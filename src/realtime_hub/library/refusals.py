"""Which errors are an upstream's last word, and whom they concern."""

from __future__ import annotations

from typing import Final

from realtime_hub.errors import (
    FilterValueError,
    MissingExtraError,
    NotFitError,
    PublicationMissingError,
    SelectError,
    SettingsError,
    SubscriptionError,
    TableNotPublishedError,
    TokenError,
)
from realtime_hub.library.filters import Shape
from realtime_hub.library.planner import Need

FINAL: Final = (
    SubscriptionError,
    SettingsError,
    NotFitError,
    PublicationMissingError,
    TokenError,
    MissingExtraError,
)
"""Trying again would bring the same."""


def concerns_everybody(error: Exception) -> bool:
    """Whether it is for all listeners of the table, not for what one of them asks."""
    return not isinstance(error, SubscriptionError) or isinstance(error, TableNotPublishedError)


def misfit(need: Need, shape: Shape | None) -> SubscriptionError | None:
    """Why a listener can't have what it asks of a table with these columns (None: unknown)."""
    if shape is None:
        return None
    known = shape.table.index
    for column in sorted(need.filter.columns) if need.filter is not None else ():
        if column not in known:
            return FilterValueError(f"invalid column for filter {column}")
    for column in sorted(need.columns or ()):
        if column not in known:
            return SelectError(f"invalid column for select {column}")
    return None
