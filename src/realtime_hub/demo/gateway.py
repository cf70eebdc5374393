"""The demo's gateway, which the page may stop and start while everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from realtime_hub.compose import Service
from realtime_hub.settings import Settings

_PATIENCE: Final = 30.0


class StoppableGateway:
    """One gateway on a port of 127.0.0.1 that stays the same over restarts.

    `run` does the work; `switch` may be called while it runs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service: Service | None = None
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._changed = asyncio.Condition()
        self._wanted.set()
        self.port = 0

    @property
    def running(self) -> bool:
        return self._service is not None

    def statistics(self) -> Mapping[str, Any]:
        """The service's own; empty while it is stopped."""
        return {} if self._service is None else self._service.statistics()

    async def switch(self, running: bool) -> None:
        """Start or stop it, and return when that is done.

        Raises:
            TimeoutError: it took too long.
        """
        (self._wanted if running else self._unwanted).set()
        (self._unwanted if running else self._wanted).clear()
        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.running is running)

    async def start(self) -> None:
        """Start it for the first time; `port` is then known.

        Raises:
            RealtimeHubError: a part could not start.
        """
        settings = self._settings.model_copy(update={"port": self.port})
        service = Service(settings)
        try:
            await service.start()
        except BaseException:
            await service.stop()
            raise
        self.port = service.port
        await self._become(service)

    async def run(self) -> None:
        """Serve until cancelled; raises what ends a gateway for good."""
        while True:
            await self._wanted.wait()
            if self._service is None:
                await self.start()
            await self._serve()

    async def stop(self) -> None:
        """May be called again."""
        service = self._service
        if service is not None:
            await service.stop()
            await self._become(None)

    async def _serve(self) -> None:
        service = self._service
        if service is None:
            return
        parts = [asyncio.ensure_future(each) for each in (service.run(), self._unwanted.wait())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await self.stop()

    async def _become(self, service: Service | None) -> None:
        async with self._changed:
            self._service = service
            self._changed.notify_all()
