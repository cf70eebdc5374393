"""Listens for as long as it runs."""

import asyncio
from typing import Any

from supabase import AsyncClient
from app.realtime import hub
from realtime_hub import Subscription, payloads


class Watcher:
    def __init__(self, client: AsyncClient, call_id: str) -> None:
        self.client = client
        self.call_id = call_id
        self._unsubscribes_calls: list[Subscription] | None = None
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    async def start(self) -> None:
        # new ones
        self._unsubscribes_calls = [
            await hub.subscribe("calls", "INSERT", payloads(self._queue.put_nowait)),
            await hub.subscribe(
                "calls",
                "UPDATE",
                payloads(lambda payload: self._queue.put_nowait(
                    payload["data"]["record"],  # the row
                )),
                filter=f"id=eq.{self.call_id}",
            ),
        ]

    async def stop(self) -> None:
        if self._unsubscribes_calls is not None:
            for unsubscribe in self._unsubscribes_calls:
                unsubscribe()
            self._unsubscribes_calls = None
