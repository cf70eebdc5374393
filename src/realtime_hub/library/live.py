"""One upstream channel of a table, as the hub holds it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from realtime_hub.errors import RealtimeHubError
from realtime_hub.library.change import Change, Gap
from realtime_hub.library.planner import Plan
from realtime_hub.library.ports import UpstreamChannel


class Owner(Protocol):
    """What a live channel tells the table's."""

    def changed(self, live: LiveChannel, change: Change) -> None: ...

    def missed(self, gap: Gap) -> None: ...

    def interrupted(self, live: LiveChannel, error: Exception) -> None: ...

    def restored(self, live: LiveChannel) -> None: ...

    def lost(self, live: LiveChannel, error: Exception) -> None: ...

    async def room(self) -> None: ...

    async def handled(self) -> None: ...


class LiveChannel:
    """A `ports.Receiver`. What comes before its owner has taken it over is held back for that
    moment.

    generation: counts the channels of the table. opened_at: the event loop's time.
    """

    def __init__(self, owner: Owner, bindings: Plan, generation: int) -> None:
        self._owner = owner
        self._closed = False
        self._held: list[Change | Gap] | None = []
        self.plan = bindings
        self.generation = generation
        self.is_lost = False
        self.opened_at = asyncio.get_running_loop().time()
        self.channel: UpstreamChannel | None = None

    @property
    def resumed(self) -> bool:
        return self.channel is not None and self.channel.resumed

    def release(self) -> None:
        """Hand on what was held back, and everything from now on."""
        held, self._held = self._held, None
        for one in held or ():
            if isinstance(one, Change):
                self.change(one)
            else:
                self.gap(one)

    async def close(self) -> None:
        self._closed = True
        if self.channel is not None:
            with contextlib.suppress(RealtimeHubError, OSError):
                await self.channel.close()

    def change(self, change: Change) -> None:
        if self._held is not None:
            self._held.append(change)
        elif not self._closed:
            self._owner.changed(self, change)

    def gap(self, gap: Gap) -> None:
        if self._held is not None:
            self._held.append(gap)
        elif not self._closed:
            self._owner.missed(gap)

    def interrupted(self, error: Exception) -> None:
        if not self._closed:
            self._owner.interrupted(self, error)

    def restored(self) -> None:
        if not self._closed:
            self._owner.restored(self)

    def lost(self, error: Exception) -> None:
        if not self._closed and not self.is_lost:
            self.is_lost = True
            self._owner.lost(self, error)

    async def room(self) -> None:
        await self._owner.room()

    async def handled(self) -> None:
        await self._owner.handled()
