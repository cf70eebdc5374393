"""Realtime changes from PostgreSQL: read the write-ahead log once, tell everybody who listens.

    from realtime_hub import RealtimeHub

    hub = RealtimeHub.from_url("postgresql://...")
    unsubscribe = hub.subscribe("llamadas_ventas", "INSERT", on_call)

Names are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime_hub.library.change import Change, Gap
    from realtime_hub.library.fallback import every
    from realtime_hub.library.hub import RealtimeHub
    from realtime_hub.library.named import get_hub, hubs, statistics
    from realtime_hub.library.options import Overflow, Timing
    from realtime_hub.library.payloads import payloads
    from realtime_hub.library.room import Room
    from realtime_hub.library.status import HubStatistics, State, Status, TableStatistics
    from realtime_hub.library.stream import ChangeStream
    from realtime_hub.library.subscription import Subscription
    from realtime_hub.library.sync import SyncRealtimeHub

__all__ = [
    "Change",
    "ChangeStream",
    "Gap",
    "HubStatistics",
    "Overflow",
    "RealtimeHub",
    "Room",
    "State",
    "Status",
    "Subscription",
    "SyncRealtimeHub",
    "TableStatistics",
    "Timing",
    "every",
    "get_hub",
    "hubs",
    "payloads",
    "statistics",
]
__version__ = "0.1.0"

_HOMES = {
    "Change": "change",
    "ChangeStream": "stream",
    "Gap": "change",
    "HubStatistics": "status",
    "Overflow": "options",
    "RealtimeHub": "hub",
    "Room": "room",
    "State": "status",
    "Status": "status",
    "Subscription": "subscription",
    "SyncRealtimeHub": "sync",
    "TableStatistics": "status",
    "Timing": "options",
    "every": "fallback",
    "get_hub": "named",
    "hubs": "named",
    "payloads": "payloads",
    "statistics": "named",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"realtime_hub.library.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
