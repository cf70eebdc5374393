"""An upstream fed by hand: for tests of applications, and of the hub itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from realtime_hub.changes import TableName
from realtime_hub.errors import TableNotPublishedError, UpstreamError
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Filter, Shape, fulfils
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, SnapshotReceiver

_TYPES: Final = {bool: "bool", int: "int8", float: "float8", dict: "jsonb", list: "jsonb"}


class MemorySource:
    """What `insert`, `update` and `delete` say is delivered before they return.

        source = MemorySource()
        hub = RealtimeHub(source)
        await hub.subscribe("calls", "INSERT", print)
        source.insert("calls", {"id": 1})

    tables: those that are published; None for any. selective: whether narrower bindings are
    said to be cheaper, as they are on a Supabase server. positions: whether changes have one.
    """

    kind = "memory"
    truncates = True

    def __init__(
        self,
        tables: Iterable[str] | None = None,
        *,
        selective: bool = True,
        positions: bool = True,
    ) -> None:
        self.selective = selective
        self.tokens: list[str | None] = []
        self._tables = None if tables is None else {_name(table) for table in tables}
        self._positions = positions
        self._count = 0
        self._reachable = True
        self._channels: dict[_Channel, None] = {}
        self._history: list[tuple[TableName, Change]] = []

    @property
    def channels(self) -> dict[str, tuple[Binding, ...]]:
        """The open channels' bindings by table; of several on one table the newest."""
        return {str(channel.table): channel.bindings for channel in self._channels}

    @property
    def open_channels(self) -> int:
        return len(self._channels)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What the changes so far have left of a table."""
        name = _name(table)
        return _remaining(change for other, change in self._history if other == name)

    # What happens in the database

    def insert(self, table: str, record: Mapping[str, Any]) -> Change:
        return self._change(table, "INSERT", record, None)

    def update(
        self, table: str, record: Mapping[str, Any], old: Mapping[str, Any] | None = None
    ) -> Change:
        """old: as far as the replica identity goes; without it the record's first column."""
        if old is None:
            old = dict(list(record.items())[:1])
        return self._change(table, "UPDATE", record, old)

    def delete(self, table: str, old: Mapping[str, Any]) -> Change:
        return self._change(table, "DELETE", None, old)

    def truncate(self, table: str) -> Change:
        return self._change(table, "TRUNCATE", None, None)

    def push(self, payload: dict[str, Any]) -> Change:
        """Deliver a recorded `postgres_changes` payload as it is."""
        data = payload["data"]
        return self._deliver(TableName(data["schema"], data["table"]), payload)

    # What happens to the connection

    def disconnect(self) -> None:
        """Lose all channels, and let none be opened until `reconnect`."""
        self._reachable = False
        self.lose()

    def lose(self) -> None:
        """Lose all channels; new ones can be opened at once."""
        lost, self._channels = self._channels, {}
        for channel in lost:
            channel.receiver.lost(UpstreamError("the memory source was disconnected"))

    def reconnect(self) -> None:
        self._reachable = True

    def gap(self, table: str, reason: str = "test") -> None:
        """Say that changes of a table may be missing."""
        name = _name(table)
        for channel in tuple(self._channels):
            if channel.table == name:
                channel.receiver.gap(Gap(name, reason, "said by the memory source"))

    async def room(self) -> None:
        """Wait as an upstream does that is held back by a listener with a full queue."""
        for channel in tuple(self._channels):
            await channel.receiver.room()

    # What the hub calls

    async def open(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
    ) -> _Channel:
        if not self._reachable:
            raise UpstreamError("the memory source is disconnected")
        if self._tables is not None and table not in self._tables:
            raise TableNotPublishedError(f"{table} is not one of the memory source's tables")
        channel = _Channel(self, table, tuple(bindings), receiver, resumed=since is not None)
        self._channels[channel] = None
        if since is not None:
            for name, change in self._history[int(since) :]:
                if name == table:
                    channel.offer(change)
        return channel

    async def open_snapshot(
        self, table: TableName, binding: Binding, receiver: SnapshotReceiver, *, truncates: bool
    ) -> _Channel:
        """The rows are what the changes so far have left."""
        bindings = [binding, Binding("TRUNCATE")] if truncates else [binding]
        channel = await self.open(table, bindings, receiver)
        receiver.begin(None)
        for row in self.rows(str(table)):
            data = _data(table, "INSERT", row, None)
            change = Change({"ids": [], "data": data, "snapshot": True})
            if _wants(binding, change):
                receiver.change(change)
        receiver.complete()
        receiver.passed()
        return channel

    async def set_auth(self, token: str | None) -> None:
        """Tokens are noted in `tokens`, and mean nothing."""
        self.tokens.append(token)

    async def aclose(self) -> None:
        self._channels.clear()

    def leave(self, channel: _Channel) -> None:
        self._channels.pop(channel, None)

    def _change(
        self,
        table: str,
        event: str,
        record: Mapping[str, Any] | None,
        old: Mapping[str, Any] | None,
    ) -> Change:
        name = _name(table)
        return self._deliver(name, {"ids": [], "data": _data(name, event, record, old)})

    def _deliver(self, name: TableName, payload: dict[str, Any]) -> Change:
        change = Change(payload)
        if self._positions:
            self._count += 1
            change = Change(payload, position=str(self._count))
            self._history.append((name, change))
        for channel in tuple(self._channels):
            if channel.table == name:
                channel.offer(change)
        return change


class _Channel:
    """An open channel; an `UpstreamChannel`."""

    def __init__(
        self,
        source: MemorySource,
        table: TableName,
        bindings: tuple[Binding, ...],
        receiver: Receiver,
        *,
        resumed: bool,
    ) -> None:
        self.table = table
        self.bindings = bindings
        self.receiver = receiver
        self.resumed = resumed
        self.shape: Shape | None = None
        self._source = source

    def offer(self, change: Change) -> None:
        """Hand the change on if a binding asks for it."""
        matched = [binding for binding in self.bindings if _asks(binding, change)]
        if matched:
            filters = frozenset(b.filter for b in matched if b.filter is not None)
            self.receiver.change(Change(change.payload, position=change.position, matched=filters))

    async def close(self) -> None:
        self._source.leave(self)


def _data(
    table: TableName,
    event: str,
    record: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "schema": table.schema,
        "table": table.name,
        "commit_timestamp": _now(),
        "type": event,
        "columns": [{"name": n, "type": _type_of(v)} for n, v in (record or old or {}).items()],
        "errors": None,
    }
    if record is not None:
        data["record"] = dict(record)
    if old is not None:
        data["old_record"] = dict(old)
    return data


def _remaining(changes: Iterable[Change]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for change in changes:
        if change.event == "TRUNCATE":
            rows.clear()
        if change.event in ("UPDATE", "DELETE"):
            rows = [row for row in rows if not change.old.items() <= row.items()]
        if change.event in ("INSERT", "UPDATE"):
            rows.append(change.new)
    return rows


def _asks(binding: Binding, change: Change) -> bool:
    if binding.event != change.event and (binding.event != "*" or change.event == "TRUNCATE"):
        return False
    return _wants(binding, change)


def _wants(binding: Binding, change: Change) -> bool:
    filter = Filter.parse(binding.filter)
    if filter is None:
        return True
    shape = Shape.of(tuple((column["name"], column["type"]) for column in change.columns))
    return fulfils(filter, shape, shape.row(change, range(len(shape.table.columns))), change)


def _type_of(value: Any) -> str:
    return _TYPES.get(type(value), "text")


def _name(table: str) -> TableName:
    schema, dot, name = table.partition(".")
    return TableName(schema, name) if dot else TableName("public", table)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
