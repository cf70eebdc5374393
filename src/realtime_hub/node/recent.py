"""Where transactions stand in the stream that may not be visible yet."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import aclosing
from typing import Final

from realtime_hub.changes import Change
from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.ports import ChangeLog
from realtime_hub.lsn import Position

_XIDS: Final = 1 << 32


class Recent:
    """The places of the latest transactions, by their 32-bit ids; older ones are in the log.

    horizon: the newest id that may stand in the log from before. size: transactions that are
    kept here; the log is searched for those forgotten, or from before, that are still invisible:
    commits that wait for a standby, across a restart or across many that wait for none.
    """

    def __init__(self, changelog: ChangeLog, *, horizon: int, size: int = 20_000) -> None:
        self._log = changelog
        self._horizon = horizon
        self._size = size
        self._epoch = changelog.epoch
        self._places: OrderedDict[int, Position] = OrderedDict()
        self._found: dict[int, Position | None] = {}
        self._searching = asyncio.Lock()

    def note(self, changes: Sequence[Change]) -> None:
        """Take in what has been dispatched."""
        places = self._places
        if changes and changes[0].position.epoch != self._epoch:
            self._epoch = changes[0].position.epoch
            places.clear()
            self._found.clear()
        last = None
        for change in changes:
            if change.xid != last:
                last = change.xid
                places.setdefault(last, change.position)
        while len(places) > self._size:
            xid, _ = places.popitem(last=False)
            self._found.pop(xid, None)
            if not self._forgotten(xid):
                self._horizon = xid

    async def before(self, xids: Collection[int]) -> Position | None:
        """The last Position before any of these transactions; None if none is in the stream.

        Raises PositionGoneError when the log can't tell.
        """
        known = [self._places[xid] for xid in xids if xid in self._places]
        sought = {xid for xid in xids if xid not in self._places and self._forgotten(xid)}
        if sought:
            known += await self._search(sought)
        here = [place for place in known if place.epoch == self._log.epoch]
        if not here:
            return None
        first = min(here)
        return Position(first.epoch, first.lsn - 1, 0)

    def _forgotten(self, xid: int) -> bool:
        """Whether it is so old that it may have been forgotten; ids are counted in a circle."""
        return (self._horizon - xid) % _XIDS < _XIDS // 2

    async def _search(self, xids: set[int]) -> list[Position]:
        """Those that stand in the log. Each is looked for once while it stays invisible."""
        async with self._searching:
            unknown = xids - self._found.keys()
            self._found = {xid: place for xid, place in self._found.items() if xid in xids}
            if unknown:
                self._found |= await self._read(unknown)
            return [place for xid in xids if (place := self._found[xid]) is not None]

    async def _read(self, xids: set[int]) -> dict[int, Position | None]:
        while True:
            found: dict[int, Position | None] = dict.fromkeys(xids)
            try:
                async with aclosing(self._log.read(self._log.floor, None)) as changes:
                    async for change in changes:
                        if change.xid in found and found[change.xid] is None:
                            found[change.xid] = change.position
            except PositionGoneError as gone:
                if gone.reason != "retention":
                    raise
            else:
                return found
