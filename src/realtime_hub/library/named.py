"""Hubs by name, for a process that has several: each on its own upstream."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from realtime_hub.errors import HubNameError
from realtime_hub.library.status import HubStatistics

if TYPE_CHECKING:
    from realtime_hub.library.hub import RealtimeHub

_hubs: Final[dict[str, RealtimeHub]] = {}


def get_hub(name: str = "main") -> RealtimeHub:
    """The hub that was made with this name.

    Raises HubNameError: there is none; `RealtimeHub.from_url(..., name=...)` makes it.
    """
    found = _hubs.get(name)
    if found is None:
        known = ", ".join(map(repr, sorted(_hubs))) or "none"
        raise HubNameError(
            f"there is no hub named {name!r} (known: {known});"
            f" make it with RealtimeHub.from_url(..., name={name!r})"
        )
    return found


def hubs() -> Mapping[str, RealtimeHub]:
    """All named hubs."""
    return MappingProxyType(_hubs)


def statistics() -> dict[str, HubStatistics]:
    """The figures of all named hubs."""
    return {name: hub.statistics() for name, hub in _hubs.items()}


def register(name: str, hub: RealtimeHub) -> None:
    """Raises HubNameError: the name is taken."""
    if name in _hubs:
        raise HubNameError(
            f"there is a hub named {name!r} already; get_hub({name!r}) returns it,"
            " and its forget() frees the name"
        )
    _hubs[name] = hub


def forget(name: str) -> None:
    """Free the name; nothing happens if it is not taken."""
    _hubs.pop(name, None)
