"""A hub's tables: one channel for each that is listened to, and what its listeners bring along."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from realtime_hub.changes import TableName
from realtime_hub.errors import RealtimeHubError
from realtime_hub.library.calling import Backlog, Caller, Reports
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.channel import TableChannel
from realtime_hub.library.fallback import poll
from realtime_hub.library.listener import Listener
from realtime_hub.library.notices import Notices
from realtime_hub.library.options import Delivery, Timing
from realtime_hub.library.planner import Need
from realtime_hub.library.ports import SnapshotUpstream, Upstream
from realtime_hub.library.snapshot import SnapshotFeed, Target
from realtime_hub.library.status import Status, TableStatistics


class Tables:
    """What tables' channels and listeners need of their hub (`channel.Host`, `listener.Owner`).

    star: ask for `*`, whatever is needed. slow_callback: seconds. check_loop: raises
    HubMisusedError on another event loop than the hub's.
    """

    def __init__(
        self,
        upstream: Upstream,
        notices: Notices,
        *,
        star: bool,
        timing: Timing,
        slow_callback: float,
        check_loop: Callable[[], None],
    ) -> None:
        self.upstream = upstream
        self.star = star
        self.timing = timing
        self.slow_callback = slow_callback
        self._notices = notices
        self._check_loop = check_loop
        self._channels: dict[TableName, TableChannel] = {}
        self._polls: dict[Listener, asyncio.Task[None]] = {}
        self._feeds: dict[Listener, SnapshotFeed] = {}
        self._closing: asyncio.Event | None = None

    # What the hub asks

    def __len__(self) -> int:
        return len(self._channels)

    def get(self, table: TableName) -> TableChannel | None:
        return self._channels.get(table)

    def statistics(self) -> dict[str, TableStatistics]:
        return {str(table): channel.statistics() for table, channel in self._channels.items()}

    def listen(
        self,
        table: TableName,
        need: Need,
        options: Delivery,
        make: Callable[[Reports], Caller],
        name: str,
    ) -> Listener:
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
        return listener

    def feed(
        self, upstream: SnapshotUpstream, listener: Listener, caller: Caller, target: Target
    ) -> SnapshotFeed:
        """Have the table's rows told to a listener ahead of its changes."""

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

    def retry_now(self) -> None:
        """Why channels could not be opened may be over."""
        for channel in self._channels.values():
            channel.retry_now()

    async def drain(self) -> None:
        """Wait until listeners have handled all that has come so far."""
        for channel in tuple(self._channels.values()):
            await channel.handled()

    def forget(self) -> None:
        """Of an event loop that is gone."""
        self._channels.clear()
        self._polls.clear()
        self._feeds.clear()

    async def aclose(self, last: Callable[[], Awaitable[None]]) -> None:
        """Remove all listeners and close all channels, and then do what is last; who listens
        meanwhile waits until that is done."""
        if self._closing is not None:
            await self._closing.wait()
            return
        self._closing = asyncio.Event()
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
            await last()
        finally:
            self.forget()
            self._closing.set()
            self._closing = None

    # What channels and listeners tell it

    async def may_open(self) -> None:
        if self._closing is not None:
            await self._closing.wait()

    def told(self, status: Status) -> None:
        self._notices.status(status)

    def gap(self, gap: Gap) -> None:
        self._notices.gap(gap)

    def refused(self, listener: Listener, error: RealtimeHubError) -> None:
        self._stop_helpers(listener)
        if not listener.refuse(error):
            self._notices.refused(listener, error)

    def failed(self, listener: Listener, error: Exception, change: Change | None) -> None:
        self._notices.failed(listener, error, change)

    def slow(self) -> None:
        self._notices.slow_calls += 1

    def dropped(self) -> None:
        self._notices.drops += 1

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

    def _stop_helpers(self, listener: Listener) -> None:
        """Polls and feeds of a listener that is gone."""
        feed = self._feeds.pop(listener, None)
        if feed is not None:
            feed.close()
        task = self._polls.pop(listener, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End the tasks, but for the one that this is called in."""
    others = [task for task in tasks if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
