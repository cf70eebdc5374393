"""The public hub: subscribe, stream, and look after what happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import structlog

from realtime_hub.changes import TableName
from realtime_hub.errors import HubMisusedError, SnapshotRefusedError
from realtime_hub.library import named
from realtime_hub.library.auth import AuthFollower, AuthSource
from realtime_hub.library.calling import Caller, Pulled, Reports, caller_for
from realtime_hub.library.change import Gap
from realtime_hub.library.fallback import Fallback
from realtime_hub.library.filters import Filter
from realtime_hub.library.listener import Listener
from realtime_hub.library.logs import use_logging
from realtime_hub.library.mirror import Mirror
from realtime_hub.library.notices import Notices
from realtime_hub.library.options import (
    DEFAULT_QUEUE,
    Callback,
    Delivery,
    KeyOf,
    OnError,
    OnGap,
    OverflowName,
    Timing,
    columns_of,
    events_of,
    table_of,
)
from realtime_hub.library.planner import Need
from realtime_hub.library.ports import RoomOptions, RoomUpstream, SnapshotUpstream, Upstream
from realtime_hub.library.room import Room
from realtime_hub.library.snapshot import SnapshotFeed
from realtime_hub.library.status import HubStatistics, State, Status
from realtime_hub.library.stream import ChangeStream, StreamRows
from realtime_hub.library.subscription import Subscription
from realtime_hub.library.tables import Tables

if TYPE_CHECKING:
    from realtime_hub.library.sync import SyncRealtimeHub

log = structlog.get_logger(__name__)

T = TypeVar("T")


class RealtimeHub:
    """One upstream channel per table, however many listen; see docs/library.md.

    Belongs to the event loop that it is first used on, until `cleanup`; not thread-safe
    (`RealtimeHub.sync` is for scripts and threads).

    source: where changes come from; `from_url` and `from_client` make it. upstream: "planned"
    asks the upstream for the cheapest set of bindings that serves all listeners, "*" for one
    binding of everything. name: for `get_hub`. slow_callback: seconds after which a plain
    callback that holds the event loop up is reported.

    Raises HubNameError: the name is taken.
    """

    def __init__(
        self,
        source: Upstream,
        *,
        upstream: Literal["planned", "*"] = "planned",
        name: str | None = None,
        timing: Timing | None = None,
        slow_callback: float = 0.1,
    ) -> None:
        if upstream not in ("planned", "*"):
            raise HubMisusedError(f"upstream is 'planned' or '*', not {upstream!r}")
        use_logging()
        self.name = name
        self.upstream = source
        self.timing = Timing() if timing is None else timing
        self._notices = Notices()
        self._tables = Tables(
            source,
            self._notices,
            star=upstream == "*",
            timing=self.timing,
            slow_callback=slow_callback,
            check_loop=self._check_loop,
        )
        self._rooms: dict[str, Room] = {}
        self._follower: AuthFollower | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if name is not None:
            named.register(name, self)

    # Making one

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        api_key: str | None = None,
        token: str | None = None,
        publication: str = "supabase_realtime",
        slot: str | None = None,
        upstream: Literal["planned", "*"] = "planned",
        name: str | None = None,
        timing: Timing | None = None,
        slow_callback: float = 0.1,
    ) -> Self:
        """A hub on a database (`postgresql://...`), or on a Supabase Realtime server or gateway
        (`wss://.../realtime/v1`, or the project's `https://` URL).

        api_key, token: of a Realtime server; the token says who reads, the key if there is none.
        publication: of a database. slot: the name of a durable replication slot, which keeps
        changes while this process is away; without it a temporary one is used, which goes with
        the connection.

        Nothing connects before the first subscription.

        Raises:
            SettingsError: the URL is of no kind that is known, or an option does not fit it.
            MissingExtraError: a Realtime server needs `pip install 'realtime-hub[supabase]'`.
        """
        from realtime_hub.library.upstreams.making import upstream_for

        source = upstream_for(url, api_key=api_key, token=token, publication=publication, slot=slot)
        return cls(source, upstream=upstream, name=name, timing=timing, slow_callback=slow_callback)

    @classmethod
    def from_client(
        cls,
        client: Any,
        *,
        upstream: Literal["planned", "*"] = "planned",
        name: str | None = None,
        timing: Timing | None = None,
        slow_callback: float = 0.1,
    ) -> Self:
        """A hub on the connection of an existing client: supabase's `AsyncClient`, or
        `realtime.AsyncRealtimeClient`.

        The client stays its owner's: its other channels are left alone, and `cleanup` closes
        only the hub's. Its login is the hub's.

        Raises HubMisusedError: it is no such client.
        """
        from realtime_hub.library.upstreams.making import upstream_of_client

        return cls(
            upstream_of_client(client),
            upstream=upstream,
            name=name,
            timing=timing,
            slow_callback=slow_callback,
        )

    @classmethod
    def sync(cls, url: str, **options: Any) -> SyncRealtimeHub:
        """The same for scripts and threads, without a word of asyncio; options as `from_url`."""
        from realtime_hub.library.sync import SyncRealtimeHub

        return SyncRealtimeHub(lambda: cls.from_url(url, **options))

    # Listening

    def subscribe(
        self,
        table: str | tuple[str, str],
        events: str | Iterable[str],
        callback: Callback,
        *,
        filter: str | None = None,
        columns: Iterable[str] | None = None,
        executor: Executor | Literal[True] | None = None,
        max_queue: int = DEFAULT_QUEUE,
        overflow: OverflowName = "block",
        debounce: float | None = None,
        throttle: float | None = None,
        coalesce: str | KeyOf | None = None,
        fallback: Fallback | None = None,
        on_gap: OnGap | None = None,
        on_error: OnError | None = None,
    ) -> Subscription:
        """Call `callback(change)` for each change of a table; returns what unsubscribes.

            unsubscribe = hub.subscribe("llamadas_ventas", "INSERT", on_call)

        `await` the result to know that changes flow, or why they never will.

        table: a name in schema public, `schema.table`, or both as a pair. events: INSERT,
        UPDATE, DELETE, TRUNCATE, or `*` for the first three; one or several. callback: a plain
        callable runs inline, so it must be quick; a coroutine function has a queue of its own.
        filter: as Realtime clients write it (`call_id=eq.42,estado=in.(activa,sonando)`).
        columns: those you need; others may come too. executor: runs a plain callable in
        threads (True: the loop's own). max_queue, overflow: how many changes may wait, and what
        happens then (`Overflow`). debounce, throttle: seconds of quiet before a call; seconds
        between calls. coalesce: a column, or a function of the change: of waiting changes with
        an equal value the newest stays. fallback: `every(30, fetch)` polls while changes do not
        come. on_gap: called when changes may be missing. on_error: what the callback raises, and
        the change; else the hub's `on_error` gets it.

        Raises:
            SubscriptionError: the events, the filter or the columns make no sense.
            HubMisusedError: there is no running event loop, or it is another one.
            ValueError: options that exclude each other.
        """
        options = Delivery(
            executor=executor,
            max_queue=max_queue,
            overflow=overflow,
            debounce=debounce,
            throttle=throttle,
            coalesce=coalesce,
            fallback=fallback,
            on_gap=on_gap,
            on_error=on_error,
        )
        if not callable(callback):
            raise HubMisusedError(f"the callback can't be called: {type(callback).__name__}")
        name = str(getattr(callback, "__qualname__", type(callback).__qualname__))

        def make(reports: Reports) -> Caller:
            return caller_for(callback, options, reports)

        need = Need(events_of(events), Filter.parse(filter), columns_of(columns))
        return self._listen(table_of(table), need, options, make, name)[0]

    def stream(
        self,
        table: str | tuple[str, str],
        events: str | Iterable[str] = "*",
        *,
        filter: str | None = None,
        columns: Iterable[str] | None = None,
        max_queue: int = DEFAULT_QUEUE,
        overflow: OverflowName = "block",
        coalesce: str | KeyOf | None = None,
        on_gap: OnGap | None = None,
        snapshot: bool = False,
    ) -> ChangeStream:
        """The changes of a table as an asynchronous iterator; see `subscribe`.

            async for change in hub.stream("prospectos", "UPDATE"): ...

        snapshot: first the rows that are there, as INSERTs with `change.snapshot`, then the
        changes that are not in them: none is missing, none comes twice. If changes were missed
        while rows were read, `on_gap` says so (`snapshot_restarted`), and all rows come again.

        Raises SnapshotRefusedError: the upstream tells no rows.
        """
        feeds: list[SnapshotFeed] = []

        def missed(gap: Gap) -> None:
            for feed in feeds:
                feed.missed()
            if on_gap is not None:
                on_gap(gap)

        options = Delivery(max_queue=max_queue, overflow=overflow, coalesce=coalesce, on_gap=missed)
        callers: list[Pulled] = []

        def make(reports: Reports) -> Caller:
            callers.append(Pulled(options, reports))
            return callers[0]

        upstream = self._snapshots() if snapshot else None
        need = Need(events_of(events), Filter.parse(filter), columns_of(columns))
        subscription, listener = self._listen(table_of(table), need, options, make, "stream")
        if upstream is not None:
            feeds.append(self._tables.feed(upstream, listener, callers[0], StreamRows(listener)))
        return ChangeStream(subscription, listener, callers[0])

    def mirror(
        self, table: str | tuple[str, str], *, key: str | Iterable[str] | None = None
    ) -> Mirror:
        """The table's rows as a live mapping by key.

            async with hub.mirror("llamadas_ventas") as calls:
                calls["a1"]["estado"]

        key: the column, or columns, that tell rows apart; a database is asked for its primary
        key, from a gateway it must be named. What follows a gap is read anew. Rows that row-level
        security hides after a change of theirs stay as they were; of a TRUNCATE only a database
        tells.

        Raises SnapshotRefusedError, here or when it is awaited: the upstream tells no rows, or
        the key is not known.
        """
        upstream = self._snapshots()
        found = Mirror((key,) if isinstance(key, str) else key)
        feeds: list[SnapshotFeed] = []

        def missed(gap: Gap) -> None:
            for feed in feeds:
                feed.restart()

        options, callers = Delivery(on_gap=missed), list[Caller]()

        def make(reports: Reports) -> Caller:
            callers.append(caller_for(found.put, options, reports))
            return callers[0]

        events = ("*", "TRUNCATE") if upstream.truncates else "*"
        need = Need(events_of(events))
        subscription, listener = self._listen(table_of(table), need, options, make, "mirror")
        feeds.append(self._tables.feed(upstream, listener, callers[0], found))
        found.bind(subscription, feeds[0])
        return found

    def channel(
        self,
        topic: str,
        *,
        private: bool = False,
        key: str = "",
        ack: bool = False,
        own: bool = False,
    ) -> Room:
        """A room for broadcast and presence, on the connection that changes come over.

        One room per topic: who asks again gets the same. private: the policies on
        `realtime.messages` decide. key: under which presence shows this client. ack: broadcasts
        wait until the server has taken them. own: hear one's own broadcasts too.

        Raises HubMisusedError: the upstream is a database, which has no rooms; the room is there
        with other options; there is no running event loop, or it is another one.
        """
        self._bind()
        options = RoomOptions(private, key, ack, own)
        found = self._rooms.get(topic)
        if found is not None:
            if found.options != options:
                raise HubMisusedError(f"the room {topic!r} is open with other options")
            return found
        if not isinstance(self.upstream, RoomUpstream):
            raise HubMisusedError("rooms need a Realtime server or a gateway, not a database")
        room = self._rooms[topic] = Room(
            self.upstream,
            topic,
            options,
            max_retry_delay=self.timing.max_retry_delay,
            failed=self._notices.room_failed,
            ended=self._room_ended,
        )
        return room

    def on_status(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call back when a table's state changes; returns what ends it, as `cleanup` does."""
        return self._notices.on_status(callback)

    def on_gap(self, callback: OnGap) -> Callable[[], None]:
        """Call back when changes of a table may be missing: read it again."""
        return self._notices.on_gap(callback)

    def on_error(self, callback: OnError) -> Callable[[], None]:
        """Call back with what callbacks raise, and the change (None where there is none).

        Without any, errors are logged.
        """
        return self._notices.on_error(callback)

    # Who reads

    async def set_auth(self, token: str | None) -> None:
        """Read with another token from now on; open channels are told.

        Raises AuthNotSupportedError: the upstream has no tokens (a database has roles).
        """
        await self.upstream.set_auth(token)
        self._tables.retry_now()
        for room in self._rooms.values():
            room.retry_now()

    def follow_auth(self, client: Any) -> Callable[[], None]:
        """Clean up when the supabase client signs out, and pass on its refreshed tokens.

        Returns what ends it. It stays in force across sign-outs, and ends with `cleanup`.

        Raises HubMisusedError: the client has no `auth.on_auth_state_change`.
        """
        auth: AuthSource | None = getattr(client, "auth", None)
        if not hasattr(auth, "on_auth_state_change") or auth is None:
            raise HubMisusedError(
                "follow_auth needs a supabase client: this one has no auth.on_auth_state_change"
            )
        self._bind()
        self._unfollow()
        follower = AuthFollower(auth, set_auth=self.set_auth, signed_out=self._reset)
        self._follower = follower
        return follower.close

    # How it stands

    def is_connected(self, table: str | tuple[str, str]) -> bool:
        """Whether the table's changes flow."""
        channel = self._tables.get(table_of(table))
        return channel is not None and channel.connectivity.state is State.CONNECTED

    def statistics(self) -> HubStatistics:
        return HubStatistics(
            name=self.name,
            upstream=self.upstream.kind,
            tables=self._tables.statistics(),
            errors=self._notices.errors,
            slow_calls=self._notices.slow_calls,
            drops=self._notices.drops,
        )

    async def drain(self) -> None:
        """Wait until listeners have handled all that has come so far."""
        await self._tables.drain()

    # Ending

    async def cleanup(self) -> None:
        """Unsubscribe everybody and disconnect: no task, socket, slot or callback stays behind.

        The hub can be used again afterwards, on any event loop.
        """
        self._unfollow()
        await self._reset()

    def forget(self) -> None:
        """Free the hub's name; the hub itself goes on."""
        if self.name is not None:
            named.forget(self.name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cleanup()
        self.forget()

    def __repr__(self) -> str:
        label = "" if self.name is None else f" {self.name!r}"
        return f"<RealtimeHub{label} on {self.upstream.kind}, {len(self._tables)} tables>"

    # Inside

    def _listen(
        self,
        table: TableName,
        need: Need,
        options: Delivery,
        make: Callable[[Reports], Caller],
        name: str,
    ) -> tuple[Subscription, Listener]:
        self._bind()
        listener = self._tables.listen(table, need, options, make, name)
        return Subscription(listener, self._tables.remove), listener

    def _room_ended(self, room: Room) -> None:
        if self._rooms.get(room.topic) is room:
            del self._rooms[room.topic]

    def _snapshots(self) -> SnapshotUpstream:
        if not isinstance(self.upstream, SnapshotUpstream):
            raise SnapshotRefusedError("rows need a database or a gateway, not another's client")
        return self.upstream

    def _bind(self) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            raise HubMisusedError(
                "there is no running event loop: call this from a coroutine,"
                " or use RealtimeHub.sync(...) in a script"
            ) from None
        if self._loop is None or self._loop.is_closed():
            self._loop = running
            self._tables.forget()
            self._rooms.clear()
        self._check_loop()

    def _check_loop(self) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self._loop is not None and running is not self._loop and not self._loop.is_closed():
            raise HubMisusedError(
                "the hub belongs to another event loop, or thread; make one hub for each,"
                " or `await hub.cleanup()` there first"
            )

    def _unfollow(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    async def _reset(self) -> None:
        """All that `cleanup` does, but for following the login."""
        if self._loop is not None and not self._loop.is_closed():
            self._check_loop()
        await self._tables.aclose(self._leave)

    async def _leave(self) -> None:
        """The last things, once nobody listens any more."""
        try:
            for room in tuple(self._rooms.values()):
                await room.leave()
            await self.upstream.aclose()
        finally:
            self._notices.clear()
            if self._follower is None:
                self._loop = None
