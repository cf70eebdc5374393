"""One table's channel: opened for the first listener, changed with them, closed after the last.

A task of its own follows what is needed:

    nobody listens        wait out the grace period, then close and end
    lost                  wait, growing, and open again from the last Position
    bindings do not cover open a channel with better ones, then close the old one
    bindings are too wide the same, once things have been calm for a while
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final, Protocol

import structlog

from realtime_hub.changes import TableName
from realtime_hub.errors import RealtimeHubError, TokenError
from realtime_hub.library.audience import Audience
from realtime_hub.library.calling import Backlog
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.connectivity import Connectivity
from realtime_hub.library.listener import Listener
from realtime_hub.library.live import LiveChannel
from realtime_hub.library.options import Timing
from realtime_hub.library.overlap import Overlaps
from realtime_hub.library.planner import Binding, Plan, covers, plan
from realtime_hub.library.ports import Upstream
from realtime_hub.library.refusals import FINAL, concerns_everybody, misfit
from realtime_hub.library.status import Status, TableStatistics
from realtime_hub.sources.backoff import Backoff

log = structlog.get_logger(__name__)

_HELD_SECONDS: Final = 5.0
_CHURN_SECONDS: Final = 30.0
_CHURN: Final = 6
"""With more changes of bindings than this within that time, filters are left out."""


class Host(Protocol):
    """What a table's channel needs of its hub. star: ask for `*`, whatever is needed."""

    upstream: Upstream
    timing: Timing
    star: bool

    async def may_open(self) -> None:
        """Wait while the upstream must not be used."""

    def told(self, status: Status) -> None: ...

    def gap(self, gap: Gap) -> None: ...

    def refused(self, listener: Listener, error: RealtimeHubError) -> None: ...

    def ended(self, channel: TableChannel) -> None: ...


class TableChannel:
    """Belongs to one hub; everything runs on its event loop."""

    def __init__(self, host: Host, table: TableName) -> None:
        self.table = table
        self.audience = Audience()
        self.connectivity = Connectivity(table, host.timing.disconnect_grace, host.told)
        self._host = host
        self._live: LiveChannel | None = None
        self._others: set[LiveChannel] = set()
        self._overlaps = Overlaps(memory=max(1.0, host.timing.overlap * 10))
        self._generation = 0
        self._newest = 0
        self._last: Change | None = None
        self._unserved: dict[Listener, None] = {}
        self._too_wide = False
        self._abandoned = False
        self._wake = asyncio.Event()
        self._nudge = asyncio.Event()
        self._replans: deque[float] = deque(maxlen=_CHURN)
        self._crowded: dict[Backlog, None] = {}
        self._backoff = Backoff(maximum=max(0.2, host.timing.max_retry_delay))
        self._changes = self._deliveries = self._opened = self._reconnects = self._gaps = 0
        self._task = asyncio.create_task(self._run(), name=f"realtime-hub {table}")

    # What the hub asks

    def add(self, listener: Listener) -> None:
        self.audience.add(listener)
        live = self._live
        if live is not None and not live.is_lost and self._covers(live.plan, listener):
            self._admit(listener, live)
        else:
            self._unserved[listener] = None
            self._wake.set()

    def remove(self, listener: Listener) -> None:
        self.audience.remove(listener)
        self._unserved.pop(listener, None)
        self._too_wide = True
        self._wake.set()

    def retry_now(self) -> None:
        """Why the last attempt failed may be over."""
        self._nudge.set()

    def abandon(self) -> None:
        """Nobody hears anything more, and what listeners had not handled counts as such."""
        self._abandoned = True
        for listener in self.audience:
            listener.close()

    async def aclose(self) -> None:
        """Close at once."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def statistics(self) -> TableStatistics:
        listeners: dict[str, int] = {}
        for listener in self.audience:
            for event in sorted(listener.need.events):
                listeners[event] = listeners.get(event, 0) + 1
        live = self._live
        return TableStatistics(
            state=self.connectivity.state,
            listeners=listeners,
            channels=len(self._others) + (live is not None and not live.is_lost),
            bindings=() if live is None else tuple(str(b) for b in _ordered(live.plan)),
            queued=sum(listener.queued for listener in self.audience),
            changes=self._changes,
            deliveries=self._deliveries,
            opened=self._opened,
            reconnects=self._reconnects,
            gaps=self._gaps,
        )

    # What its upstream channels tell it

    def changed(self, live: LiveChannel, change: Change) -> None:
        self._changes += 1
        if live.generation >= self._newest:
            self._last = change
        above = self._overlaps.heard_elsewhere(live.generation, change)
        self._deliveries += self.audience.dispatch(change, live.generation, above)

    def missed(self, gap: Gap) -> None:
        self._gaps += 1
        self._host.gap(gap)
        for listener in self.audience:
            listener.gap(gap)

    def interrupted(self, live: LiveChannel, error: Exception) -> None:
        if live is self._live:
            self.connectivity.went_down(error)

    def restored(self, live: LiveChannel) -> None:
        if live is self._live:
            self.connectivity.came_up()

    def lost(self, live: LiveChannel, error: Exception) -> None:
        if live is self._live:
            self.connectivity.went_down(error)
            self._wake.set()
        self._end_overlaps(live)

    def crowded(self, queue: Backlog, *, full: bool) -> None:
        if full:
            self._crowded[queue] = None
        else:
            self._crowded.pop(queue, None)

    async def room(self) -> None:
        while self._crowded:
            await next(iter(self._crowded)).room()

    async def handled(self) -> None:
        await asyncio.gather(*(listener.handled() for listener in self.audience))
        if self._abandoned:
            await asyncio.get_running_loop().create_future()

    # Following what is needed

    async def _run(self) -> None:
        try:
            while await self._is_wanted():
                await self._step()
        finally:
            await self._end()

    async def _is_wanted(self) -> bool:
        """Whether anybody listens, now or within the grace period."""
        if not len(self.audience):
            self._wake.clear()
            await self._woken(self._host.timing.linger)
        return len(self.audience) > 0

    async def _step(self) -> None:
        self._wake.clear()
        live = self._live
        if live is None or live.is_lost:
            await self._reopen()
        elif self._unserved:
            await self._replace(live)
        elif self._too_wide:
            if not await self._woken(max(self._host.timing.linger, self._churning())):
                self._too_wide = False
                if self._plan() != live.plan:
                    await self._replace(live)
        else:
            await self._woken(None)

    async def _woken(self, seconds: float | None) -> bool:
        """Wait until something has changed; false if nothing did within these seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _plan(self) -> Plan:
        if self._host.star:
            return plan([listener.need for listener in self.audience], selective=False)
        return plan(
            [listener.need for listener in self.audience],
            shape=self.audience.shape,
            selective=self._host.upstream.selective,
            broad=self._churning() > 0,
        )

    def _churning(self) -> float:
        """For how many seconds filters are still left out, since they changed too often."""
        if len(self._replans) < _CHURN:
            return 0.0
        return self._replans[0] + _CHURN_SECONDS - asyncio.get_running_loop().time()

    def _covers(self, bindings: Plan, listener: Listener) -> bool:
        return covers(bindings, listener.need, self.audience.shape)

    async def _reopen(self) -> None:
        """Open the first channel, or another after one was lost."""
        await asyncio.sleep(self._host.timing.settle)
        lost = self._live
        if lost is not None:
            await self._calm(lost)
        try:
            if lost is not None:
                await lost.close()
            live = await self._open(since=self._position())
        except (RealtimeHubError, OSError) as error:
            # A token that has expired since may be followed by a fresh one.
            if isinstance(error, FINAL) and not (self._opened and isinstance(error, TokenError)):
                self._live = None
                await self._refuse(error)
            else:
                self.connectivity.went_down(error)
                await self._retry(error)
        else:
            if lost is not None:
                self._overlaps.succeed(lost.generation, live.generation)
            self._reconnects += lost is not None
            if lost is not None and not live.resumed:
                self.missed(self._reconnected())
            self._serve(live)
            self.connectivity.came_up()

    async def _calm(self, lost: LiveChannel) -> None:
        """Open again at once what has held for a while; what has not, after a delay."""
        if asyncio.get_running_loop().time() - lost.opened_at > _HELD_SECONDS:
            self._backoff.reset()
        else:
            await asyncio.sleep(self._backoff.next())

    async def _retry(self, error: Exception) -> None:
        delay = self._backoff.next()
        log.warning(
            "channel_down",
            table=str(self.table),
            code=getattr(error, "code", type(error).__name__),
            error=str(error),
            retry_in=round(delay, 3),
        )
        # Not woken by listeners that come and go: they would make it a busy loop.
        self._nudge.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._nudge.wait()

    async def _replace(self, old: LiveChannel) -> None:
        """Open a channel with the bindings that are needed now, then close the old one."""
        await asyncio.sleep(self._host.timing.settle)
        self._replans.append(asyncio.get_running_loop().time())
        self._too_wide = self._churning() > 0
        # From the moment of asking: from then on either channel may be the first to bring a change.
        overlap = self._overlaps.begin(old.generation, self._generation + 1)
        try:
            await self._hand_over(old, await self._open(since=None))
        except FINAL as error:
            self._overlaps.forget(overlap)
            await self._refuse(error)
        except (RealtimeHubError, OSError) as error:
            self._overlaps.forget(overlap)
            await self._retry(error)

    async def _hand_over(self, old: LiveChannel, live: LiveChannel) -> None:
        self._others.add(old)
        try:
            if old.is_lost:
                self.missed(self._reconnected())
                self.connectivity.came_up()
            self._serve(live)
            await asyncio.sleep(self._host.timing.overlap)
        finally:
            self._others.discard(old)
            await old.close()
            self._end_overlaps(old)

    async def _open(self, *, since: str | None) -> LiveChannel:
        self._generation += 1
        live = LiveChannel(self, self._plan(), self._generation)
        await self._host.may_open()
        try:
            live.channel = await self._host.upstream.open(
                self.table, _ordered(live.plan), live, since=since
            )
        except BaseException:
            await live.close()
            raise
        self._opened += 1
        if live.channel.shape is not None:
            self.audience.learn(live.channel.shape)
        return live

    def _serve(self, live: LiveChannel) -> None:
        """From here on the new channel counts, and those listeners are served that it covers."""
        self._live = live
        self._newest = live.generation
        for listener in tuple(self._unserved):
            if self._covers(live.plan, listener):
                del self._unserved[listener]
                self._admit(listener, live)
        live.release()

    def _admit(self, listener: Listener, live: LiveChannel) -> None:
        """Say that it is served, unless it asks for columns that the table does not have."""
        error = misfit(listener.need, None if live.channel is None else live.channel.shape)
        if error is None:
            listener.served(live.generation)
        else:
            self._turn_away(listener, error)

    # Refusals

    async def _refuse(self, error: RealtimeHubError) -> None:
        """Find out whom the refusal is for: one bad filter fails all of a channel's bindings."""
        asking = tuple(self.audience if self._live is None else self._unserved)
        refused = 0
        for listener in asking:
            alone = len(asking) == 1 or concerns_everybody(error)
            refusal = error if alone else await self._try(listener)
            if refusal is not None:
                refused += 1
                self._turn_away(listener, refusal)
        if not refused:
            await self._retry(error)

    async def _try(self, listener: Listener) -> RealtimeHubError | None:
        """Ask for one listener's bindings alone; why they are refused."""
        bindings = plan([listener.need], shape=self.audience.shape)
        probe = LiveChannel(self, bindings, 0)
        try:
            probe.channel = await self._host.upstream.open(self.table, _ordered(bindings), probe)
        except FINAL as error:
            return error
        except (RealtimeHubError, OSError):
            return None
        finally:
            await probe.close()
        return None

    def _turn_away(self, listener: Listener, error: RealtimeHubError) -> None:
        self.audience.remove(listener)
        self._unserved.pop(listener, None)
        self._host.refused(listener, error)
        if not len(self.audience):
            self.connectivity.refused(error)

    def _position(self) -> str | None:
        return None if self._last is None else self._last.position

    def _reconnected(self) -> Gap:
        return Gap(
            self.table,
            "reconnected",
            "the channel was lost, and the upstream can't say what happened meanwhile",
            after=self._position(),
        )

    # The end of a channel, and of all

    def _end_overlaps(self, old: LiveChannel) -> None:
        """The channel brings nothing more: whom it served hear the one that follows."""
        for change in self._overlaps.end(old.generation):
            self._deliveries += self.audience.dispatch(change, old.generation)

    async def _end(self) -> None:
        # First of all: who subscribes from here on gets a channel of its own.
        self._host.ended(self)
        self._overlaps.clear()
        for one in (self._live, *self._others):
            if one is not None:
                await one.close()
        self._live = None
        self._others.clear()
        self.connectivity.close()


def _ordered(bindings: Plan) -> list[Binding]:
    return sorted(bindings, key=lambda b: (b.event, b.filter or "", b.columns or ()))
