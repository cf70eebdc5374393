"""The public hub: subscribe, stream, and look after what happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import structlog

from realtime_hub.changes import TableName
from realtime_hub.errors import HubMisusedError, RealtimeHubError, SnapshotRefusedError
from realtime_hub.library import named
from realtime_hub.library.auth import AuthFollower, AuthSource
from realtime_hub.library.calling import Backlog, Caller, Pulled, Reports, caller_for
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.channel import TableChannel
from realtime_hub.library.fallback import Fallback, poll
from realtime_hub.library.filters import Filter
from realtime_hub.library.listener import Listener
from realtime_hub.library.logs import use_logging
from realtime_hub.library.mirror import Mirror
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
from realtime_hub.library.snapshot import SnapshotFeed, Target
from realtime_hub.library.status import HubStatistics, State, Status
from realtime_hub.library.stream import ChangeStream, StreamRows
from realtime_hub.library.subscription import Subscription

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
        self.star = upstream == "*"
        self.timing = Timing() if timing is None else timing
        self.slow_callback = slow_callback
        self._channels: dict[TableName, TableChannel] = {}
        self._polls: dict[Listener, asyncio.Task[None]] = {}
        self._feeds: dict[Listener, SnapshotFeed] = {}
        self._rooms: dict[str, Room] = {}
        self._on_status: dict[object, Callable[[Status], object]] = {}
        self._on_gap: dict[object, OnGap] = {}
        self._on_error: dict[object, OnError] = {}
        self._follower: AuthFollower | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cleaning: asyncio.Event | None = None
        self._errors = self._slow_calls = self._drops = 0
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
            feeds.append(self._feed(upstream, listener, callers[0], StreamRows(listener)))
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
        feeds.append(self._feed(upstream, listener, callers[0], found))
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
            failed=self._room_failed,
            ended=self._room_ended,
        )
        return room

    def on_status(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call back when a table's state changes; returns what ends it, as `cleanup` does."""
        return _registered(self._on_status, callback)

    def on_gap(self, callback: OnGap) -> Callable[[], None]:
        """Call back when changes of a table may be missing: read it again."""
        return _registered(self._on_gap, callback)

    def on_error(self, callback: OnError) -> Callable[[], None]:
        """Call back with what callbacks raise, and the change (None where there is none).

        Without any, errors are logged.
        """
        return _registered(self._on_error, callback)

    # Who reads

    async def set_auth(self, token: str | None) -> None:
        """Read with another token from now on; open channels are told.

        Raises AuthNotSupportedError: the upstream has no tokens (a database has roles).
        """
        await self.upstream.set_auth(token)
        for channel in self._channels.values():
            channel.retry_now()
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
        channel = self._channels.get(table_of(table))
        return channel is not None and channel.connectivity.state is State.CONNECTED

    def statistics(self) -> HubStatistics:
        return HubStatistics(
            name=self.name,
            upstream=self.upstream.kind,
            tables={str(table): channel.statistics() for table, channel in self._channels.items()},
            errors=self._errors,
            slow_calls=self._slow_calls,
            drops=self._drops,
        )

    async def drain(self) -> None:
        """Wait until listeners have handled all that has come so far."""
        for channel in tuple(self._channels.values()):
            await channel.handled()

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
        return f"<RealtimeHub{label} on {self.upstream.kind}, {len(self._channels)} tables>"

    # What listeners and tables' channels tell it

    async def may_open(self) -> None:
        if self._cleaning is not None:
            await self._cleaning.wait()

    def told(self, status: Status) -> None:
        log.debug("table_status", table=str(status.table), state=status.state.value)
        self._tell(self._on_status, status)

    def gap(self, gap: Gap) -> None:
        log.warning("gap", table=str(gap.table), reason=gap.reason, message=gap.message)
        self._tell(self._on_gap, gap)

    def refused(self, listener: Listener, error: RealtimeHubError) -> None:
        self._stop_helpers(listener)
        if not listener.refuse(error):
            self._report(listener, error, None)

    def failed(self, listener: Listener, error: Exception, change: Change | None) -> None:
        self._errors += 1
        self._report(listener, error, change)

    def slow(self) -> None:
        self._slow_calls += 1

    def dropped(self) -> None:
        self._drops += 1

    def crowded(self, listener: Listener, queue: Backlog, *, full: bool) -> None:
        channel = self._channels.get(listener.table)
        if channel is not None:
            channel.crowded(queue, full=full)

    def remove(self, listener: Listener) -> None:
        """Unsubscribe; nothing happens the second time."""
        if not listener.active:
            return
        self._check_loop()
        listener.close()
        self._stop_helpers(listener)
        channel = self._channels.get(listener.table)
        if channel is not None:
            channel.remove(listener)

    def ended(self, channel: TableChannel) -> None:
        if self._channels.get(channel.table) is channel:
            del self._channels[channel.table]

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
        listener = Listener(self, table, need, options, make, name=name)
        channel = self._channels.get(table)
        if channel is None:
            channel = self._channels[table] = TableChannel(self, table)
        channel.add(listener)
        if options.fallback is not None:
            self._polls[listener] = asyncio.create_task(
                poll(
                    options.fallback,
                    channel.connectivity,
                    lambda error: listener.failed(error, None),
                ),
                name=f"realtime-hub fallback {table}",
            )
        return Subscription(listener, self.remove), listener

    def _room_failed(self, error: Exception) -> None:
        """Of a room's callback, or of its join, for good."""
        self._errors += 1
        for handler in tuple(self._on_error.values()):
            handler(error, None)
        if not self._on_error:
            log.error("room_failed", exc_info=error)

    def _room_ended(self, room: Room) -> None:
        if self._rooms.get(room.topic) is room:
            del self._rooms[room.topic]

    def _snapshots(self) -> SnapshotUpstream:
        if not isinstance(self.upstream, SnapshotUpstream):
            raise SnapshotRefusedError("rows need a database or a gateway, not another's client")
        return self.upstream

    def _feed(
        self, upstream: SnapshotUpstream, listener: Listener, caller: Caller, target: Target
    ) -> SnapshotFeed:
        def refused(error: RealtimeHubError) -> None:
            channel = self._channels.get(listener.table)
            if channel is not None:
                channel.remove(listener)
            self.refused(listener, error)

        found = self._feeds[listener] = SnapshotFeed(
            upstream,
            listener,
            caller,
            target,
            refused=refused,
            max_retry_delay=self.timing.max_retry_delay,
        )
        return found

    def _stop_helpers(self, listener: Listener) -> None:
        """Polls and feeds of a listener that is gone."""
        feed = self._feeds.pop(listener, None)
        if feed is not None:
            feed.close()
        task = self._polls.pop(listener, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

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
            self._channels.clear()
            self._polls.clear()
            self._feeds.clear()
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

    def _tell(self, callbacks: dict[object, Callable[[T], object]], fact: T) -> None:
        for callback in tuple(callbacks.values()):
            try:
                callback(fact)
            except Exception:
                self._errors += 1
                log.exception("callback_failed", callback=repr(callback))

    def _report(self, listener: Listener, error: Exception, change: Change | None) -> None:
        handlers = list(self._on_error.values())
        if listener.options.on_error is not None:
            handlers = [listener.options.on_error]
        for handler in handlers:
            try:
                handler(error, change)
            except Exception:
                self._errors += 1
                log.exception("on_error_failed")
        if handlers:
            return
        if isinstance(error, RealtimeHubError):
            log.error(
                "listener_removed", listener=repr(listener), code=error.code, error=str(error)
            )
        else:
            log.error("listener_failed", listener=repr(listener), exc_info=error)

    def _unfollow(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    async def _reset(self) -> None:
        """All that `cleanup` does, but for following the login."""
        if self._cleaning is not None:
            await self._cleaning.wait()
            return
        if self._loop is not None and not self._loop.is_closed():
            self._check_loop()
        self._cleaning = asyncio.Event()
        try:
            channels = tuple(self._channels.values())
            for channel in channels:
                channel.abandon()
            # In this task, since a callback may be what asks for it.
            for channel in channels:
                await channel.aclose()
                for listener in channel.audience:
                    await listener.stop()
            await _cancelled([*self._polls.values(), *(f.task for f in self._feeds.values())])
            for room in tuple(self._rooms.values()):
                await room.leave()
            await self.upstream.aclose()
        finally:
            self._channels.clear()
            self._polls.clear()
            self._feeds.clear()
            for callbacks in (self._on_status, self._on_gap, self._on_error):
                callbacks.clear()
            self._errors = self._slow_calls = self._drops = 0
            if self._follower is None:
                self._loop = None
            self._cleaning.set()
            self._cleaning = None


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End the tasks, but for the one that this is called in."""
    others = [task for task in tasks if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _registered(callbacks: dict[object, T], callback: T) -> Callable[[], None]:
    key = object()
    callbacks[key] = callback

    def remove() -> None:
        callbacks.pop(key, None)

    return remove
