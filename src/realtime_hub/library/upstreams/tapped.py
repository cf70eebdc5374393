"""The official client with a tap in front of its reading.

It reaches into the client in one place, `_listen`; should that change, messages are no longer
seen, and the hub does without cursors and gaps, as on a borrowed client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import structlog
from realtime import AsyncRealtimeClient

log = structlog.get_logger(__name__)


class Owner(Protocol):
    """Whose connection it is."""

    async def room(self) -> None:
        """Wait until more may be read."""

    def ended(self, client: AsyncRealtimeClient) -> None:
        """The client reads no more."""


class TappedClient(AsyncRealtimeClient):
    """Keeps the text of the message that is being handled, and reads on when there is room."""

    def __init__(self, url: str, api_key: str | None, owner: Owner) -> None:
        super().__init__(url, api_key, auto_reconnect=False)
        self.message: str | bytes = b"{}"
        self.reading = True
        self._owner = owner

    async def room(self) -> None:
        await self._owner.room()

    async def _listen(self) -> None:
        if self._ws_connection is not None:
            tap: Any = _Tap(self._ws_connection, self)
            self._ws_connection = tap
        try:
            await super()._listen()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody would see it
            log.warning("reading_failed", error=repr(error))
        finally:
            self.reading = False
            self._owner.ended(self)


class _Tap:
    """A connection that tells the client's texts before the client reads them."""

    def __init__(self, connection: Any, client: TappedClient) -> None:
        self._connection = connection
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for text in self._connection:
            await self._client.room()
            self._client.message = text
            yield text
