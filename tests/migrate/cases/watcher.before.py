"""Listens for as long as it runs."""

import asyncio
from typing import Any

from realtime import AsyncRealtimeChannel, RealtimePostgresChangesListenEvent
from supabase import AsyncClient


class Watcher:
    def __init__(self, client: AsyncClient, call_id: str) -> None:
        self.client = client
        self.call_id = call_id
        self._calls_channel: AsyncRealtimeChannel | None = None
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    async def start(self) -> None:
        self._calls_channel = await (
            self.client.channel(f"calls-{self.call_id}")
            # new ones
            .on_postgres_changes(
                "INSERT", schema="public", table="calls", callback=self._queue.put_nowait
            )
            .on_postgres_changes(
                RealtimePostgresChangesListenEvent.Update,
                table="calls",
                filter=f"id=eq.{self.call_id}",
                callback=lambda payload: self._queue.put_nowait(
                    payload["data"]["record"],  # the row
                ),
            )
            .subscribe()
        )

    async def stop(self) -> None:
        if self._calls_channel is not None:
            await self._calls_channel.unsubscribe()
            self._calls_channel = None
