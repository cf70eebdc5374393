"""The names that Supabase's clients give to Realtime's parts, in all their languages."""

from __future__ import annotations

from typing import Final

from realtime_hub.scan.model import ANY, CHANGES


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BROADCAST: Final = "broadcast"
PRESENCE: Final = "presence"
KINDS: Final = frozenset({CHANGES, BROADCAST, PRESENCE})
EVENTS: Final = frozenset({"INSERT", "UPDATE", "DELETE", ANY})

_LISTEN: Final = {
    "POSTGRES_CHANGES": CHANGES,
    "postgresChanges": CHANGES,
    "BROADCAST": BROADCAST,
    "broadcast": BROADCAST,
    "PRESENCE": PRESENCE,
    "presence": PRESENCE,
    "SYSTEM": "system",
}
_CHANGE: Final = {"ALL": ANY, "INSERT": "INSERT", "UPDATE": "UPDATE", "DELETE": "DELETE"}
_PRESENCE: Final = {"SYNC": "sync", "JOIN": "join", "LEAVE": "leave"}

ENUMERATIONS: Final[dict[str, dict[str, str]]] = {
    "REALTIME_LISTEN_TYPES": _LISTEN,
    "RealtimeListenTypes": _LISTEN,
    "REALTIME_POSTGRES_CHANGES_LISTEN_EVENT": _CHANGE,
    "RealtimePostgresChangesListenEvent": {
        **_CHANGE,
        **{name.title(): text for name, text in _CHANGE.items()},
    },
    "PostgresChangeEvent": {name.lower(): text for name, text in _CHANGE.items()},
    "REALTIME_PRESENCE_LISTEN_EVENTS": _PRESENCE,
    "RealtimePresenceListenEvents": _PRESENCE,
    "SupabaseEventTypes": {name.lower(): text for name, text in _CHANGE.items()},
}
"""Members of the clients' own enumerations, by the enumeration's name."""

FILTER_TYPES: Final = {"inFilter": "in", "isFilter": "is"}
"""Dart's names of operators that differ from the protocol's."""

OPTIONS: Final = frozenset({"ChannelFilter", "PostgresChangesFilter", "dict"})
"""Objects of Dart and Python that are made with a binding's fields as named arguments."""

CONSTRUCTORS: Final = frozenset({"constructor", "__init__"})

METHODS: Final = {
    "onPostgresChanges": (CHANGES, None),
    "on_postgres_changes": (CHANGES, None),
    "onBroadcast": (BROADCAST, None),
    "on_broadcast": (BROADCAST, None),
    "onPresenceSync": (PRESENCE, "sync"),
    "onPresenceJoin": (PRESENCE, "join"),
    "onPresenceLeave": (PRESENCE, "leave"),
    "on_presence_sync": (PRESENCE, "sync"),
    "on_presence_join": (PRESENCE, "join"),
    "on_presence_leave": (PRESENCE, "leave"),
}
"""Methods that listen, of Dart and Python: kind and event."""

CHAINED: Final = frozenset(METHODS) | {"on", "subscribe", "join", "onSystemEvents", "on_system"}
"""Methods of a channel whose value is the channel."""

MAKING: Final = frozenset({"channel", "from", "from_", "stream", "set_channel"})
"""Methods of a client whose value is a channel."""

OPENING: Final = frozenset({"subscribe", "join", "listen"})
CLOSING: Final = frozenset({"unsubscribe", "leave", "cancel", "teardown"})
"""Methods of the channel, or of a stream's subscription, that close it."""

REMOVING: Final = frozenset({"removeChannel", "remove_channel", "removeSubscription"})
"""Functions that close the channel that they are given."""

LISTING: Final = frozenset({"getChannels", "get_channels", "getSubscriptions"})
"""Functions that list all channels of a client."""

REMOVING_ALL: Final = frozenset(
    {"removeAllChannels", "remove_all_channels", "removeAllSubscriptions", "removeSubscriptions"}
)
DISCONNECTING: Final = frozenset({"close", "disconnect"})
"""Methods of a client, or of a socket, that end all of its channels."""

EACH: Final = frozenset({"forEach", "map", "flatMap", "filter", "each"})
"""Methods of a list that call what they are given with each of its items."""

SENDING: Final = frozenset({"send", "track", "send_broadcast", "sendBroadcastMessage"})
