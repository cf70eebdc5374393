"""The bus of a single node: what is published arrives here, and nowhere else."""

from __future__ import annotations

import secrets

from realtime_hub.hub.ports import BusListener
from realtime_hub.hub.posts import Post


class LocalBus:
    """Hands every post to its listener at once; implements `hub.ports.Bus`."""

    def __init__(self) -> None:
        self._node = secrets.token_hex(4)
        self._listener: BusListener | None = None

    @property
    def node(self) -> str:
        return self._node

    def attach(self, listener: BusListener) -> None:
        self._listener = listener

    def publish(self, post: Post) -> None:
        if self._listener is not None:
            self._listener.take(post)

    async def aclose(self) -> None:
        self._listener = None
