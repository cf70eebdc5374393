"""The rows that a table has, and then its changes, for one listener of the table's channel.

The rows come on a channel of their own, T, and behind them the changes that they do not tell.
The listener's place is on the channel that all share, S, which is open before T is. Once no row
can have told what comes, both bring the same changes in the same order, so with the first one that
both have brought T is closed:

    T   row row row (complete) c2 (passed) c4 c5
    S                    c2 c3 c4 c5 c6 c7           what S brought behind c4 is next
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol

import structlog

from realtime_hub.errors import RealtimeHubError, SnapshotError, SnapshotRefusedError
from realtime_hub.library.calling import Backlog, Caller
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.filters import Shape
from realtime_hub.library.listener import Listener
from realtime_hub.library.planner import whole
from realtime_hub.library.ports import SnapshotUpstream
from realtime_hub.library.refusals import FINAL
from realtime_hub.sources.backoff import Backoff

log = structlog.get_logger(__name__)

RESTARTED: Final = "snapshot_restarted"


class Target(Protocol):
    """Who is told where the rows begin and end; rows and changes go to its caller."""

    def begin(self, shape: Shape | None) -> None:
        """All rows come from here on, perhaps not for the first time.

        Raises SnapshotRefusedError: they are of no use.
        """

    def complete(self) -> None:
        """These were the rows."""


class SnapshotFeed:
    """Stands between the shared channel and a listener until the rows have been told.

    Starts over, with all rows, when the snapshot's channel fails and when `restart` is called.
    refused: called with what makes any further try useless.
    """

    def __init__(
        self,
        upstream: SnapshotUpstream,
        listener: Listener,
        caller: Caller,
        target: Target,
        *,
        refused: Callable[[RealtimeHubError], None],
        max_retry_delay: float,
    ) -> None:
        self._upstream = upstream
        self._listener = listener
        self._caller = caller
        self._target = target
        self._refused = refused
        self._backoff = Backoff(maximum=max(0.2, max_retry_delay))
        self._had: dict[str | None, None] = {}
        self._again = asyncio.Event()
        self._rows = asyncio.Event()
        self._meeting: _Meeting | None = self._new_meeting()
        listener.deliver = self._put
        self.task = asyncio.create_task(self._run(), name=f"realtime-hub rows {listener.table}")

    async def wait_complete(self) -> None:
        """Return once they have been. Raises why they never will be."""
        told = asyncio.create_task(self._rows.wait())
        try:
            await asyncio.wait({told, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        if not self._rows.is_set():
            raise self._listener.refusal or SnapshotRefusedError("the listener is gone")

    def missed(self) -> None:
        """The shared channel has a gap: what it brought before leads nowhere."""
        if self._meeting is not None:
            self._meeting.forget()

    def restart(self) -> None:
        """Tell all rows anew."""
        self._again.set()
        if self._meeting is not None:
            self._meeting.fail(SnapshotError("changes were missed meanwhile"))

    def close(self) -> None:
        if self.task is not asyncio.current_task():
            self.task.cancel()

    async def _run(self) -> None:
        with contextlib.suppress(RealtimeHubError):  # the listener's owner knows
            await self._listener.wait_served()
        while self._listener.active:
            self._again.clear()
            try:
                await self._once()
            except FINAL as error:
                self._refused(error)
            except (RealtimeHubError, OSError) as error:
                log.warning("rows_not_read", table=str(self._listener.table), error=str(error))
                await asyncio.sleep(self._backoff.next())
            else:
                self._backoff.reset()
                await self._again.wait()

    async def _once(self) -> None:
        meeting = self._meeting = self._new_meeting()
        need = self._listener.need
        channel = await self._upstream.open_snapshot(
            self._listener.table, whole(need), meeting, truncates="TRUNCATE" in need.events
        )
        try:
            await meeting.over
        finally:
            await channel.close()

    def _new_meeting(self) -> _Meeting:
        return _Meeting(
            self._target, self._caller, self._listener.need.events, self._told, self._joined
        )

    def _told(self) -> None:
        self._target.complete()
        self._rows.set()

    def _joined(self, had: Iterable[str | None]) -> None:
        self._meeting = None
        self._had = dict.fromkeys(had)

    def _put(self, change: Change) -> None:
        """A change of the shared channel."""
        if self._meeting is not None:
            self._meeting.shared(change)
        elif self._had and change.position in self._had:
            del self._had[change.position]
        else:
            self._caller.put(change)


class _Meeting:
    """Where T and S come together; T's `ports.SnapshotReceiver`.

    told: called behind the last row. joined: called in the moment from which S alone counts,
    with the positions of what T has brought ahead of it.
    """

    def __init__(
        self,
        target: Target,
        caller: Caller,
        events: Collection[str],
        told: Callable[[], None],
        joined: Callable[[Iterable[str | None]], None],
    ) -> None:
        self._target = target
        self._caller = caller
        self._events = events
        self._told = told
        self._joined = joined
        self._passed = False
        self._by_snapshot: dict[str | None, None] = {}
        self._by_shared: dict[str | None, Change] = {}
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def shared(self, change: Change) -> None:
        """S brings a change. Until then T brings it too, or a row tells it."""
        if not self._passed:
            return
        if change.position in self._by_snapshot:
            self._meet(_behind(change.position, self._by_snapshot), ())
        else:
            self._by_shared[change.position] = change

    def forget(self) -> None:
        """S has a gap behind what it brought so far."""
        self._by_shared.clear()

    def fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)
            self.over.exception()  # it may come while nobody waits for it

    def _meet(self, had: Iterable[str | None], missing: Iterable[str | None]) -> None:
        for position in missing:
            self._caller.put(self._by_shared[position])
        self._joined(had)
        self.over.set_result(None)

    # What T brings

    def begin(self, shape: Shape | None) -> None:
        self._target.begin(shape)

    def change(self, change: Change) -> None:
        if self.over.done() or not (change.snapshot or change.event in self._events):
            return
        self._caller.put(change)
        if not self._passed:
            return
        if change.position in self._by_shared:
            self._meet((), _behind(change.position, self._by_shared))
        else:
            self._by_snapshot[change.position] = None

    def complete(self) -> None:
        if not self.over.done():
            self._told()

    def passed(self) -> None:
        self._passed = True

    def gap(self, gap: Gap) -> None:
        self.fail(SnapshotError(gap.message))

    def interrupted(self, error: Exception) -> None:
        """T goes on where it stopped."""

    def restored(self) -> None:
        """It has."""

    def lost(self, error: Exception) -> None:
        self.fail(error)

    async def room(self) -> None:
        if isinstance(self._caller, Backlog) and not self.over.done():
            await self._caller.room()

    async def handled(self) -> None:
        """What T has brought was put where it is waited for."""


def _behind(position: str | None, positions: Iterable[str | None]) -> list[str | None]:
    """Those that come after a position in a line."""
    line = list(positions)
    return line[line.index(position) + 1 :]
