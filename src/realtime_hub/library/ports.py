"""What a hub needs of an upstream, as Protocols; adapters stand in `upstreams/`.

One conformance suite holds every adapter to these contracts (tests/library/test_upstreams.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from realtime_hub.changes import TableName
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Shape
from realtime_hub.library.planner import Binding


class Receiver(Protocol):
    """The hub's end of one channel. Called on the event loop; no method raises."""

    def change(self, change: Change) -> None:
        """Take a change that one of the channel's bindings asked for, in commit order, once."""

    def gap(self, gap: Gap) -> None:
        """Changes may be missing from here on back."""

    def interrupted(self, error: Exception) -> None:
        """Nothing comes for now; the upstream goes on by itself where it stopped."""

    def restored(self) -> None:
        """What was interrupted goes on."""

    def lost(self, error: Exception) -> None:
        """The channel has ended without `close`; the hub opens another one when it sees fit."""

    async def room(self) -> None:
        """Wait until listeners whose queue is full, and that must not lose anything, have room.

        An upstream that can hold its server back awaits this before it reads on.
        """

    async def handled(self) -> None:
        """Wait until listeners have handled, or by their own rule dropped, all given so far."""


class UpstreamChannel(Protocol):
    """One open channel.

    resumed: it goes on right behind the position that was asked for. shape: the columns' types,
    if the upstream knows them.
    """

    @property
    def resumed(self) -> bool: ...

    @property
    def shape(self) -> Shape | None: ...

    async def close(self) -> None:
        """Leave; the receiver hears nothing more. Harmless when called again or when lost."""


class Upstream(Protocol):
    """Opens channels. Several may be open on one table at a time, each with its own receiver.

    Starting: the first `open` connects; nothing before it does. Closing: `aclose` leaves no
    task, socket or slot behind, and the upstream may be opened again after it.
    Cancelling `open` leaves no channel behind.
    """

    @property
    def kind(self) -> str:
        """What it is, for statistics: never an address or a secret."""

    @property
    def selective(self) -> bool:
        """Whether narrower bindings cost the server less."""

    async def open(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
    ) -> UpstreamChannel:
        """Return once changes flow: whatever is committed after this is delivered.

        since: the position of the last change had, to go on behind it where that is possible.

        Raises:
            SubscriptionError: the table or a filter is refused, and will be.
            RealtimeHubError, OSError: anything else, which may pass.
        """

    async def set_auth(self, token: str | None) -> None:
        """Read as somebody else from now on. Raises AuthNotSupportedError."""

    async def aclose(self) -> None: ...


class SnapshotReceiver(Receiver, Protocol):
    """The hub's end of a channel that tells a table's rows first, as changes with `snapshot`."""

    def begin(self, shape: Shape | None) -> None:
        """The rows come now. shape: as of an UpstreamChannel.

        Raises SubscriptionError: they are of no use, and the channel need not be opened.
        """

    def complete(self) -> None:
        """These were the rows; from here on come the changes that they do not tell."""

    def passed(self) -> None:
        """What is committed from here on no row has told; said ahead of the first such change.
        Before that rows may tell a change and not one that was committed ahead of it."""


@runtime_checkable
class SnapshotUpstream(Protocol):
    """An upstream whose changes have positions, and that tells a table's rows before them.

    truncates: whether TRUNCATE can be asked for.
    """

    @property
    def truncates(self) -> bool: ...

    async def open_snapshot(
        self, table: TableName, binding: Binding, receiver: SnapshotReceiver, *, truncates: bool
    ) -> UpstreamChannel:
        """Tell each row that the binding's filter wants, once, whatever its event is; and behind
        the rows each change for it that is not in them, in commit order.

        truncates: tell of TRUNCATE too.

        Raises:
            SubscriptionError: the table, a filter or the snapshot is refused, and will be.
            RealtimeHubError, OSError: anything else, which may pass.
        """


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """private: decided by the policies on `realtime.messages`. key: for presence, "" for one of
    the server's. ack: broadcasts are answered. own: a client hears its own broadcasts."""

    private: bool = False
    key: str = ""
    ack: bool = False
    own: bool = False


class RoomReceiver(Protocol):
    """The hub's end of a room. Called on the event loop; no method raises."""

    def heard(self, event: str, payload: Any) -> None: ...

    def presence_changed(self) -> None: ...

    def lost(self, error: Exception) -> None:
        """The channel has ended without `close`; the hub enters again when it sees fit."""


class RoomChannel(Protocol):
    """One joined topic."""

    async def broadcast(self, event: str, payload: Mapping[str, Any]) -> None:
        """Raises UpstreamError if the server refuses it or, with `ack`, does not answer."""

    async def track(self, payload: Mapping[str, Any] | None) -> None:
        """Show this, or nothing any more. Raises UpstreamError if the server refuses it."""

    def presence_state(self) -> dict[str, list[dict[str, Any]]]: ...

    async def close(self) -> None:
        """Leave; the receiver hears nothing more. Harmless when called again or when lost."""


@runtime_checkable
class RoomUpstream(Protocol):
    """An upstream that has rooms too, on the connection that changes come over."""

    async def enter(self, topic: str, options: RoomOptions, receiver: RoomReceiver) -> RoomChannel:
        """Return once the topic is joined.

        Raises:
            TokenError: the room may not be read, and will not be with this token.
            RealtimeHubError, OSError: anything else, which may pass.
        """
