"""What a `phx_join` asks for, and the payloads that answer it.

The join payload's shape is Supabase Realtime's: `{"config": {"postgres_changes": [..], ..},
"access_token": ".."}`. Clients compare each entry of the reply with what they asked for, so
entries are echoed as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import orjson

from realtime_hub.changes import Kind
from realtime_hub.errors import (
    FilterSyntaxError,
    SelectError,
    SubscriptionError,
    TooManyBindingsError,
)
from realtime_hub.wire.filters import Condition, parse_filter

TOPIC_PREFIX: Final = "realtime:"

_ECHOED: Final[tuple[str, ...]] = (
    *("event", "schema", "table", "filter", "select", "snapshot"),
    "events",  # which realtime-py 2.19 to 2.27 says for `event`, and wants to hear
)
_ID_BITS: Final = 27  # what the real server's ids have; safe in every client's integers
_LATEST: Final = 4_102_444_800_000  # milliseconds; the year 2100
_SHOWN: Final = 200  # characters of a client's text that a refusal repeats
_SHOWN_REASON: Final = 600

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestedBinding:
    """One entry of `postgres_changes` as asked for, and as understood.

    echo: the entry for the join reply, without its id. kind, schema, table: None for any.
    since: the cursor to go on from, not read yet. snapshot: the rows that are there are wanted
    first. Neither is part of the id. refusal: why it can't be
    served, as far as the entry alone tells.
    """

    id: int
    echo: Mapping[str, Any]
    kind: Kind | None = None
    schema: str | None = None
    table: str | None = None
    conditions: tuple[Condition, ...] = ()
    select: tuple[str, ...] | None = None
    since: str | None = None
    snapshot: bool = False
    refusal: SubscriptionError | None = None

    def __str__(self) -> str:
        """The real server's way to name a binding, with long texts cut."""
        asked = self.echo
        text, columns = asked.get("filter"), asked.get("select")
        filters = f"[{text}]" if isinstance(text, str) and text.strip() else "[]"
        select = "nil" if columns is None else orjson.dumps(columns).decode()
        return (
            f"[event: {self.kind or '*'}, schema: {_cut(self.schema or '*')}, "
            f"table: {_cut(self.table or '*')}, filters: {_cut(filters)}, select: {_cut(select)}]"
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """Which kept messages come with the join. since: Unix time in seconds. valid: the client
    gave numbers."""

    since: float = 0.0
    limit: int = 25
    valid: bool = True


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A parsed `phx_join` payload.

    legacy: sent by a client older than protocol v2, whose topic is the subscription and whose
    events are named after the change. access_token: None when the connection's is meant.
    """

    bindings: tuple[RequestedBinding, ...] = ()
    legacy: bool = False
    access_token: str | None = field(default=None, repr=False)
    broadcast_ack: bool = False
    broadcast_self: bool = False
    replay: Replay | None = None
    replication_ready: bool = False
    presence_enabled: bool = False
    presence_key: str = ""
    private: bool = False


def parse_join(topic: str, payload: Mapping[str, Any], *, max_bindings: int) -> JoinRequest:
    """Read a `phx_join` payload; what does not parse is left out or refused by itself.

    Raises:
        TooManyBindingsError: more bindings than `max_bindings`.
    """
    token = payload.get("access_token") or payload.get("user_token")
    access_token = token if isinstance(token, str) else None
    if "config" not in payload:
        bindings = _bindings([_legacy_entry(topic)])
        return JoinRequest(bindings, legacy=True, access_token=access_token)
    config = _object(payload["config"])
    entries = config.get("postgres_changes")
    entries = entries if isinstance(entries, list) else []
    if len(entries) > max_bindings:
        raise TooManyBindingsError(len(entries), max_bindings)
    broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
    key = presence.get("key")
    return JoinRequest(
        _bindings(entries),
        access_token=access_token,
        broadcast_ack=_flag(broadcast.get("ack")),
        broadcast_self=_flag(broadcast.get("self")),
        replay=_replay(broadcast.get("replay")),
        replication_ready=_flag(broadcast.get("replication_ready")),
        presence_enabled=_flag(presence.get("enabled")),
        presence_key=key if isinstance(key, str) else "",
        private=_flag(config.get("private")),
    )


def parse_binding(entry: Mapping[str, Any]) -> RequestedBinding:
    """Read one entry of `postgres_changes`; what is wrong with it is its refusal."""
    return _binding(entry, {})


# Payloads


def ok_reply(response: Mapping[str, Any] | None = None) -> Json:
    return {"status": "ok", "response": response or {}}


def error_reply(reason: str) -> Json:
    return {"status": "error", "response": {"reason": reason}}


def join_reply(request: JoinRequest) -> Json:
    """The ok reply: every binding in the order asked for, each with its id."""
    shown = () if request.legacy else request.bindings
    return ok_reply({"postgres_changes": [{**b.echo, "id": b.id} for b in shown]})


def system_payload(topic: str, extension: str, message: str, *, ok: bool = True) -> Json:
    return {
        "extension": extension,
        "status": "ok" if ok else "error",
        "message": message,
        "channel": topic.removeprefix(TOPIC_PREFIX),
    }


def refusal_text(binding: RequestedBinding, refusal: SubscriptionError) -> str:
    """What a client reads about a binding that is refused; the code is from docs/errors.md."""
    reason = _cut(str(refusal), _SHOWN_REASON)
    return (
        f"Unable to subscribe to changes with given parameters. {binding} {refusal.code}: {reason}"
    )


# Parsing


def _legacy_entry(topic: str) -> Json:
    """The topic `realtime:schema[:table[:filter]]` as a binding."""
    names = topic.removeprefix(TOPIC_PREFIX).split(":", 2)
    return {"event": "*", **dict(zip(("schema", "table", "filter"), names, strict=False))}


def _bindings(entries: list[Any]) -> tuple[RequestedBinding, ...]:
    taken: dict[int, bytes] = {}
    return tuple(_binding(entry, taken) for entry in entries)


def _binding(entry: object, taken: dict[int, bytes]) -> RequestedBinding:
    asked = _object(entry)
    echo = {name: asked[name] for name in _ECHOED if name in asked and _echoable(asked[name])}
    kind = _kind(asked.get("event", asked.get("events")))
    try:
        if not isinstance(entry, dict):
            raise SubscriptionError("a binding is an object")
        schema, table = _target(asked)
        wild = schema is None or table is None
        conditions = _conditions(asked, wild=wild)
        select = _select(asked, wild=wild)
        since, snapshot = _since(asked), _snapshot(asked, wild=wild)
    except SubscriptionError as refusal:
        schema, table = _name(asked.get("schema")), _name(asked.get("table"))
        ident = _identify([kind, "refused", echo], taken)
        return RequestedBinding(ident, echo, kind, schema, table, refusal=refusal)
    text = asked.get("filter", "").strip() or None
    ident = _identify([kind, schema, table, text, select], taken)
    return RequestedBinding(ident, echo, kind, schema, table, conditions, select, since, snapshot)


def _identify(key: list[Any], taken: dict[int, bytes]) -> int:
    """A nonzero id, the same in every process: clients of one topic share frames by it."""
    content = orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
    mask = (1 << _ID_BITS) - 1
    ident = int.from_bytes(blake2b(content, digest_size=4).digest()) & mask or 1
    while taken.setdefault(ident, content) != content:
        ident = (ident + 1) & mask or 1
    return ident


def _replay(asked: object) -> Replay | None:
    if asked is None:
        return None
    since, limit = (_object(asked).get(name) for name in ("since", "limit"))
    since, limit = 0 if since is None else since, 25 if limit is None else limit
    if not isinstance(asked, dict) or type(since) not in (int, float) or type(limit) is not int:
        return Replay(valid=False)
    if not 0 <= since <= _LATEST:
        return Replay(valid=False)
    return Replay(since / 1000, limit)


def _kind(event: object) -> Kind | None:
    try:
        kind = Kind(event.upper()) if isinstance(event, str) else None
    except ValueError:
        return None
    return None if kind is Kind.TRUNCATE else kind


def _target(asked: Json) -> tuple[str | None, str | None]:
    """Schema and table; a table alone is in `public`, a schema alone means all its tables."""
    for name in ("schema", "table"):
        if not isinstance(asked.get(name, ""), str):
            raise SubscriptionError(f"{name} must be a string")
    if "schema" not in asked and "table" not in asked:
        raise SubscriptionError(
            "No subscription params provided. Please provide at least a `schema` or `table`"
        )
    return _name(asked.get("schema", "public")), _name(asked.get("table", "*"))


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value != "*" else None


def _conditions(asked: Json, *, wild: bool) -> tuple[Condition, ...]:
    text = asked.get("filter", "")
    if not isinstance(text, str):
        raise FilterSyntaxError("filter must be a string")
    if not text.strip():
        return ()
    if wild:
        raise FilterSyntaxError("filter needs an explicit schema and table")
    return parse_filter(text)


def _select(asked: Json, *, wild: bool) -> tuple[str, ...] | None:
    columns = asked.get("select")
    if columns is None:
        return None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise SelectError("select must be a list of column names")
    if columns and wild:
        raise SelectError("select needs an explicit schema and table")
    return tuple(columns) or None


def _since(asked: Json) -> str | None:
    since = asked.get("since")
    if since is not None and not isinstance(since, str):
        raise SubscriptionError("since must be a cursor, as messages carry it")
    return since


def _snapshot(asked: Json, *, wild: bool) -> bool:
    snapshot = _flag(asked.get("snapshot"))
    if snapshot and wild:
        raise SubscriptionError("snapshot needs an explicit schema and table")
    return snapshot


def _echoable(value: object) -> bool:
    """Flat values only: an echo must never be too deep to encode."""
    flat = (str, int, float, bool, type(None))
    if isinstance(value, list):
        return all(isinstance(item, flat) for item in value)
    return isinstance(value, flat)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _flag(value: object) -> bool:
    return value is True or value == "true"


def _cut(text: str, limit: int = _SHOWN) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
