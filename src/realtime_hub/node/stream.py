"""Reads the stream for as long as the process lives, also past a break of its LSN line.

A slot that is lost, or that somebody else has read, leaves a hole that nothing can fill: a new
epoch begins with a new slot. Everybody is told of the gap once the new slot stands, so that
what they read from the tables then is older than the first change that comes to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from realtime_hub.errors import (
    DatabaseUnreachableError,
    PublicationMissingError,
    SlotLostError,
    SourceError,
)
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.listeners import Gap
from realtime_hub.hub.ports import Authorizer, ChangeLog, Source
from realtime_hub.node.messages import MessageReader
from realtime_hub.node.pipeline import Pipeline, PipelineStatistics
from realtime_hub.node.recent import Recent

log = structlog.get_logger(__name__)

GAP_SLOT_LOST: Final = "SlotLost"
_RETRY_SECONDS: Final = 1.0


class Sources(Protocol):
    """Makes the source anew whenever its LSN line has broken."""

    async def identify(self) -> str:
        """The name of the line that the next source will be on.

        Raises DatabaseUnreachableError, and SourceError for what does not pass.
        """

    def open(self, epoch: int, *, renew: bool) -> Source:
        """A source on the line identified last; renew: on a new slot."""


class Stream:
    """Keeps a pipeline running. announce: tells every subscriber of a gap. messages: takes what
    the database broadcasts. recent: told of each change.

    The changelog is of the line that the first source is on.
    """

    def __init__(
        self,
        sources: Sources,
        changelog: ChangeLog,
        authorizer: Authorizer,
        dispatcher: Dispatcher,
        announce: Callable[[Gap], None],
        messages: MessageReader | None = None,
        recent: Recent | None = None,
    ) -> None:
        self._sources = sources
        self._log = changelog
        self._authorizer = authorizer
        self._dispatcher = dispatcher
        self._announce = announce
        self._messages = messages
        self._recent = recent
        self.source = sources.open(changelog.epoch, renew=False)
        self.statistics = PipelineStatistics()

    async def run(self) -> None:
        """Run until cancelled, or until the source ends or fails for good.

        Raises:
            SourceError: what trying again, also with another slot, would not mend.
        """
        gap: Gap | None = None
        while True:
            self.source.confirm(self._log.durable_lsn)
            reading = _Reading(self._announce, gap)
            try:
                await self._pipeline(reading).run()
                return
            except (SlotLostError, PublicationMissingError) as error:
                if isinstance(error, PublicationMissingError) and not reading.begun:
                    raise  # it does not exist now; else it did not at the place that is read
                await self.source.aclose()
                gap = await self._break(error, gap)

    async def aclose(self) -> None:
        await self.source.aclose()

    def _pipeline(self, reading: _Reading) -> Pipeline:
        return Pipeline(
            self.source,
            self._log,
            self._authorizer,
            self._dispatcher,
            self._messages,
            statistics=self.statistics,
            begun=reading.begin,
            recent=self._recent,
        )

    async def _break(self, error: SourceError, untold: Gap | None) -> Gap:
        """Begin an epoch on the line that is there now."""
        since = self._log.head if untold is None else untold.since
        log.error("slot_lost", error=str(error), epoch=self._log.epoch)
        self._log.begin_epoch(system=await self._identify())
        self.statistics.breaks += 1
        self.source = self._sources.open(self._log.epoch, renew=True)
        return Gap(GAP_SLOT_LOST, str(error), since=since, until=self._log.floor)

    async def _identify(self) -> str:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                return await self._sources.identify()
            except DatabaseUnreachableError as error:
                log.warning("stream_unidentified", error=str(error), retry_in=_RETRY_SECONDS)


class _Reading:
    """Tells of a gap once the reading after it has begun."""

    def __init__(self, announce: Callable[[Gap], None], gap: Gap | None) -> None:
        self._announce = announce
        self._gap = gap
        self.begun = False

    def begin(self) -> None:
        self.begun = True
        if self._gap is not None:
            self._announce(self._gap)
