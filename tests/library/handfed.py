"""An upstream whose channels bring what the test says, when it says so."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_hub.changes import TableName
from realtime_hub.errors import UpstreamError
from realtime_hub.library.change import Change
from realtime_hub.library.filters import Shape
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, SnapshotReceiver


class HandFed:
    """shared: the open channels, the newest last. rows: those that tell rows first."""

    kind = "hand-fed"
    selective = False
    truncates = False

    def __init__(self) -> None:
        self.shared: list[Channel] = []
        self.rows: list[RowsChannel] = []

    async def open(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
    ) -> Channel:
        channel = Channel(receiver, self.shared)
        self.shared.append(channel)
        return channel

    async def open_snapshot(
        self, table: TableName, binding: Binding, receiver: SnapshotReceiver, *, truncates: bool
    ) -> RowsChannel:
        receiver.begin(None)
        channel = RowsChannel(receiver, self.rows)
        self.rows.append(channel)
        return channel

    async def set_auth(self, token: str | None) -> None: ...

    async def aclose(self) -> None: ...


class Channel:
    resumed = False
    shape: Shape | None = None

    def __init__(self, receiver: Receiver, among: list[Channel] | list[RowsChannel]) -> None:
        self.receiver = receiver
        self._among = among

    def bring(self, *ids: int) -> None:
        for id in ids:
            self.receiver.change(inserted(id))

    def lose(self) -> None:
        self.receiver.lost(UpstreamError("lost by hand"))

    async def close(self) -> None:
        if self in self._among:
            self._among.remove(self)  # type: ignore[arg-type]


class RowsChannel(Channel):
    receiver: SnapshotReceiver

    def tell(self, *ids: int) -> None:
        """These are the rows; `passed` is still to be said."""
        for id in ids:
            self.receiver.change(inserted(id, snapshot=True))
        self.receiver.complete()


def inserted(id: int, *, snapshot: bool = False) -> Change:
    data = {"schema": "public", "table": "calls", "type": "INSERT", "record": {"id": id}}
    data["columns"] = [{"name": "id", "type": "int8"}]
    payload = {"ids": [], "data": data, "snapshot": True} if snapshot else {"ids": [], "data": data}
    return Change(payload, position=None if snapshot else str(id))
