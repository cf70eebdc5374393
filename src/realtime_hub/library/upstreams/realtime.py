"""A Supabase Realtime server, or our gateway, through the official `realtime` client.

The client drops what it does not know from messages, and with it the gateway's cursors, gaps
and the raw payload. Where the connection is ours, a tap in front of the client's reading keeps
the text of the message that is being handled; on a borrowed client the hub does without.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
import structlog

from realtime_hub.changes import TableName
from realtime_hub.errors import (
    MissingExtraError,
    RealtimeHubError,
    SnapshotRefusedError,
    SubscriptionError,
    UpstreamError,
)
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Shape
from realtime_hub.library.planner import Binding
from realtime_hub.library.ports import Receiver, RoomOptions, RoomReceiver, SnapshotReceiver

try:
    from realtime import AsyncRealtimeChannel, AsyncRealtimeClient
    from realtime.types import (
        PostgresChangesCallback,
        RealtimePostgresChangesListenEvent,
        RealtimeSubscribeStates,
    )

    from realtime_hub.library.upstreams.failures import connection_error, failure
    from realtime_hub.library.upstreams.rooms import ClientRoom, join_room
    from realtime_hub.library.upstreams.tapped import TappedClient
except ImportError:
    raise MissingExtraError("realtime", "supabase") from None

log = structlog.get_logger(__name__)

_READY: Final = "Subscribed to PostgreSQL"
_GAP: Final = "Gap: "
_COMPLETE: Final = "Snapshot complete"
_PASSED: Final = "Snapshot passed"
_JOIN_SECONDS: Final = 15.0
_LEAVE_SECONDS: Final = 2.0

__all__ = ["AsyncRealtimeClient", "ClientUpstream", "RealtimeUpstream"]

_numbers: Final = itertools.count(1)


class RealtimeUpstream:
    """A connection of the hub's own. url: the endpoint, `wss://.../realtime/v1`.

    A lost connection is not mended but made anew, by the hub: its back-off never gives up.
    """

    kind = "realtime"
    selective = True
    truncates = False

    def __init__(self, url: str, *, api_key: str | None = None, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._token = token
        self._client: TappedClient | None = None
        self._channels: set[_Channel] = set()
        self._rooms: set[ClientRoom] = set()
        self._opening = 0
        self._lock = asyncio.Lock()

    async def open(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
    ) -> _Channel:
        return await self._opened(table, bindings, receiver, since=since)

    async def open_snapshot(
        self, table: TableName, binding: Binding, receiver: SnapshotReceiver, *, truncates: bool
    ) -> _Channel:
        """Raises SnapshotRefusedError: the server is not a gateway of ours."""
        receiver.begin(None)
        return await self._opened(table, [binding], receiver, snapshot=receiver)

    async def _opened(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
        snapshot: SnapshotReceiver | None = None,
    ) -> _Channel:
        self._opening += 1
        try:
            client = await self._connected()
            channel = _Channel(client, table, bindings, receiver, since=since, snapshot=snapshot)
            channel.on_close = self._closed
            self._channels.add(channel)
            await _join(channel)
        finally:
            self._opening -= 1
        return channel

    async def enter(self, topic: str, options: RoomOptions, receiver: RoomReceiver) -> ClientRoom:
        self._opening += 1
        try:
            client = await self._connected()
            room = ClientRoom(client, topic, options, receiver, self._left)
            self._rooms.add(room)
            await join_room(room)
        finally:
            self._opening -= 1
        return room

    async def set_auth(self, token: str | None) -> None:
        self._token = token
        if self._client is not None:
            await self._client.set_auth(token)

    async def aclose(self) -> None:
        for channel in tuple(self._channels):
            await channel.close()
        for room in tuple(self._rooms):
            await room.close()
        async with self._lock:
            await self._disconnect()
        self._lock = asyncio.Lock()  # the next user may be on another event loop

    async def _closed(self, channel: _Channel) -> None:
        self._channels.discard(channel)
        await self._disconnect_unused()

    async def _left(self, room: ClientRoom) -> None:
        self._rooms.discard(room)
        await self._disconnect_unused()

    async def _disconnect_unused(self) -> None:
        """The last one to leave closes the connection."""
        async with self._lock:
            if not (self._channels or self._rooms or self._opening):
                await self._disconnect()

    async def _connected(self) -> TappedClient:
        async with self._lock:
            client = self._client
            if client is not None and client.is_connected and client.reading:
                return client
            await self._disconnect()
            client = TappedClient(self._url, self._api_key, self)
            if self._token is not None:
                await client.set_auth(self._token)
            try:
                await client.connect()
            except Exception as error:  # noqa: BLE001 - websockets' and the socket's, of any kind
                raise connection_error(error) from None
            self._client = client
            return client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            # The client cancels its tasks without waiting for them.
            for _ in range(3):
                await asyncio.sleep(0)

    # What the client tells

    async def room(self) -> None:
        for channel in tuple(self._channels):
            await channel.receiver.room()

    def ended(self, client: AsyncRealtimeClient) -> None:
        """It reads no more: what it has not said itself is said here."""
        for channel in [c for c in self._channels if c.client is client]:
            channel.lose(UpstreamError("the connection was lost"))


class ClientUpstream:
    """The connection of somebody else's client, which reconnects by itself and stays open."""

    kind = "realtime client"
    selective = True

    def __init__(self, client: AsyncRealtimeClient) -> None:
        self._client = client
        self._channels: set[_Channel] = set()
        self._rooms: set[ClientRoom] = set()

    async def open(
        self,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None = None,
    ) -> _Channel:
        await self._connect()
        channel = _Channel(self._client, table, bindings, receiver, since=None)
        channel.on_close = self._closed
        self._channels.add(channel)
        await _join(channel)
        return channel

    async def enter(self, topic: str, options: RoomOptions, receiver: RoomReceiver) -> ClientRoom:
        await self._connect()
        room = ClientRoom(self._client, topic, options, receiver, self._left)
        self._rooms.add(room)
        return await join_room(room)

    async def set_auth(self, token: str | None) -> None:
        await self._client.set_auth(token)

    async def aclose(self) -> None:
        for channel in tuple(self._channels):
            await channel.close()
        for room in tuple(self._rooms):
            await room.close()

    async def _connect(self) -> None:
        if not self._client.is_connected:
            try:
                await self._client.connect()
            except Exception as error:  # noqa: BLE001 - websockets' and the socket's, of any kind
                raise connection_error(error) from None

    async def _closed(self, channel: _Channel) -> None:
        self._channels.discard(channel)

    async def _left(self, room: ClientRoom) -> None:
        self._rooms.discard(room)


class _Channel:
    """One channel of the client, on a topic of its own; an `UpstreamChannel`."""

    def __init__(
        self,
        client: AsyncRealtimeClient,
        table: TableName,
        bindings: Sequence[Binding],
        receiver: Receiver,
        *,
        since: str | None,
        snapshot: SnapshotReceiver | None = None,
    ) -> None:
        self.receiver = receiver
        self._snapshot = snapshot
        self.resumed = since is not None
        self.shape: Shape | None = None
        self.on_close: Any = None
        self._table = table
        self.client = client
        self._open = False
        self._refused: RealtimeHubError | None = None
        self._closed = False
        self._lost = False
        self._left = asyncio.Event()
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bindings = [
            _Binding(self, binding, table, since, first=number == 0, rows=snapshot is not None)
            for number, binding in enumerate(bindings)
        ]
        self._channel: AsyncRealtimeChannel = client.channel(f"hub:{table}:{next(_numbers)}")
        self._channel.postgres_changes_callbacks.extend(self._bindings)
        self._channel.on_system(self._on_system)

    async def join(self) -> None:
        """Return once the server says that changes flow."""
        async with asyncio.timeout(_JOIN_SECONDS):
            await self._channel.subscribe(self._on_state)
            await self._joined
            # A server that serves some of the bindings says so first, and then which it refuses.
            await asyncio.sleep(0)
        if self._refused is not None:
            raise self._refused
        self._open = True

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._lost and self.client.is_connected and self._channel.is_joined:
            with suppress(TimeoutError, Exception):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self._channel.unsubscribe()
                    await self._left.wait()
        self._drop()
        await self.on_close(self)

    def receive(self, payload: Any) -> None:
        """A change came for at least one of the bindings."""
        raw = self._raw() or payload
        ids = raw.get("ids") or ()
        matched = [binding for binding in self._bindings if binding.id in ids]
        if matched and not self._closed:
            filters = frozenset(b.filter for b in matched if b.filter is not None)
            self.receiver.change(Change(raw, position=raw.get("cursor"), matched=filters))

    def _on_system(self, payload: Any) -> None:
        raw = self._raw() or {}
        if payload.message.startswith(_GAP):
            said = raw.get("gap") or {}
            reason = said.get("reason") or payload.message.removeprefix(_GAP).partition(":")[0]
            after, before = said.get("from"), said.get("to")
            self.receiver.gap(Gap(self._table, reason, payload.message, after, before))
        elif payload.message == _COMPLETE and self._snapshot is not None:
            self._snapshot.complete()
        elif payload.message == _PASSED and self._snapshot is not None:
            self._snapshot.passed()
        elif payload.extension == "postgres_changes" and payload.message == _READY:
            self._settle(None)

    def _on_state(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state is RealtimeSubscribeStates.CLOSED:
            self._left.set()
        if self._closed:
            return
        if state is RealtimeSubscribeStates.SUBSCRIBED:
            if self._snapshot is not None and not self._promises_rows():
                self._settle(SnapshotRefusedError("the server tells no rows; a gateway does"))
            return
        # The hub opens another channel; this one must not join again by itself.
        self._channel.rejoin_timer.reset()
        self.lose(failure(state, error))

    def lose(self, error: RealtimeHubError) -> None:
        """The channel has ended, or was never joined."""
        if self._closed or self._lost:
            return
        if self._open:
            self._lost = True
            self.receiver.lost(error)
        else:
            self._refused = error
            self._settle(error)

    def _promises_rows(self) -> bool:
        """Whether the reply to the join repeats what only our gateway understands."""
        reply = (self._raw() or {}).get("response") or {}
        return any(entry.get("snapshot") for entry in reply.get("postgres_changes") or ())

    def _settle(self, error: Exception | None) -> None:
        if self._joined.done():
            return
        if error is None:
            self._joined.set_result(None)
        else:
            self._joined.set_exception(error)

    def _drop(self) -> None:
        """Forget the channel without a word to the server, and all timers that it has."""
        self._channel.rejoin_timer.reset()
        self._channel.join_push.destroy()
        for push in self._channel.messages_waiting_for_ack.values():
            push.destroy()
        if self.client.channels.get(self._channel.topic) is self._channel:
            del self.client.channels[self._channel.topic]
        if self._joined.done() and not self._joined.cancelled():
            self._joined.exception()

    def _raw(self) -> dict[str, Any] | None:
        """The payload of the message that is being handled, as it came."""
        if not isinstance(self.client, TappedClient):
            return None
        payload: dict[str, Any] | None = orjson.loads(self.client.message).get("payload")
        return payload


async def _join(channel: _Channel) -> None:
    try:
        await channel.join()
    except BaseException as error:
        await channel.close()
        if isinstance(error, TimeoutError):
            raise UpstreamError(f"no answer to the join within {_JOIN_SECONDS:g} s") from None
        if isinstance(error, RealtimeHubError) or not isinstance(error, Exception):
            raise
        raise connection_error(error) from None


class _Binding(PostgresChangesCallback):
    """What the client sends for a binding, and calls with its changes.

    first: of the channel's bindings the first one takes the changes of all, once each. rows:
    those that are there are asked for.
    """

    def __init__(
        self,
        channel: _Channel,
        binding: Binding,
        table: TableName,
        since: str | None,
        *,
        first: bool,
        rows: bool,
    ) -> None:
        if binding.event == "TRUNCATE":
            raise SubscriptionError("a Realtime server sends no TRUNCATE events")
        super().__init__(
            callback=channel.receive,
            event=RealtimePostgresChangesListenEvent(binding.event),
            table=table.name,
            schema=table.schema,
            filter=binding.filter,
            select=None if binding.columns is None else list(binding.columns),
        )
        self._since = since
        self._first = first
        self._rows = rows

    def __call__(self, payload: Any) -> None:
        if self._first:
            self.callback(payload)

    @property
    def binding_filter(self) -> dict[str, Any]:
        asked = super().binding_filter
        if self._rows:
            asked = {**asked, "snapshot": True}
        return asked if self._since is None else {**asked, "since": self._since}
