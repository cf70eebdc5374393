"""Before: each component opens channels of its own.

On the three hot tables one agent's screen has 5, 3 and 5 channels, and PostgreSQL judges each
change once for each binding of each of them. Nobody notices that one channel never works.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from realtime import AsyncRealtimeChannel, AsyncRealtimeClient

from examples.callcentre.components import Payload, Screen

Handler = Callable[[Payload], None]


class DirectChannels:
    """A screen's components, each subscribed as it was written."""

    def __init__(self, client: AsyncRealtimeClient, screen: Screen, *, poll: float = 30.0) -> None:
        self._client = client
        self._screen = screen
        self._poll = poll
        self._channels: list[AsyncRealtimeChannel] = []
        self._polling: asyncio.Task[None] | None = None

    async def mount(self) -> None:
        screen = self._screen
        await self._channel("activity", ("*", "llamadas_ventas", screen.store.on_call))
        await self._channel(
            "monitor",
            ("INSERT", "llamadas_ventas", screen.monitor.on_call),
            ("UPDATE", "llamadas_ventas", screen.monitor.on_call),
        )
        self._polling = asyncio.create_task(self._keep_polling())
        await self._channel(
            "calls-new", ("INSERT", "llamadas_ventas", screen.active_calls.on_insert)
        )
        await self._channel(
            "calls-upd", ("UPDATE", "llamadas_ventas", screen.active_calls.on_update)
        )
        await self._channel(
            "detail",
            ("UPDATE", "llamadas_ventas", screen.detail.on_update),
            filter=f"call_id=eq.{screen.detail.call_id}",
        )
        await self._channel("new", ("INSERT", "prospectos", screen.new_prospects.on_new))
        await self._channel("new-upd", ("UPDATE", "prospectos", screen.new_prospects.on_changed))
        await self._channel(
            "new-msg", ("INSERT", "mensajes_whatsapp", screen.new_prospects.on_message)
        )
        await self._channel("manager", ("UPDATE", "prospectos", screen.prospects.on_update))
        await self._channel(
            "conversations", ("UPDATE", "prospectos", screen.conversations.on_prospect)
        )
        await self._channel(
            "conversations-msg", ("INSERT", "mensajes_whatsapp", screen.conversations.on_message)
        )
        # Neither table is published: this one has been silent from the day it was written.
        await self._channel(
            "uchat",
            ("*", "uchat_conversations", screen.conversations.on_external),
            ("INSERT", "uchat_messages", screen.conversations.on_external),
        )
        await self._channel(
            "chat",
            ("INSERT", "mensajes_whatsapp", screen.chat.on_message),
            ("UPDATE", "prospectos", screen.chat.on_prospect),
            ("UPDATE", "llamadas_programadas", screen.chat.on_planned),
            ("*", "whatsapp_conversation_labels", screen.chat.on_label),
        )

    async def logout(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
        for channel in self._channels:
            await channel.unsubscribe()

    def channels_by_table(self) -> dict[str, int]:
        """How many channels listen to each table."""
        counts: dict[str, int] = {}
        for channel in self._channels:
            for table in {str(b.table) for b in channel.postgres_changes_callbacks}:
                counts[table] = counts.get(table, 0) + 1
        return counts

    async def _channel(
        self, name: str, *bindings: tuple[str, str, Handler], filter: str | None = None
    ) -> None:
        channel = self._client.channel(f"{name}-{time.time_ns()}")
        for event, table, handler in bindings:
            asked: Any = event
            channel.on_postgres_changes(asked, handler, table=table, schema="public", filter=filter)
        self._channels.append(channel)
        await channel.subscribe()

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            await asyncio.to_thread(self._screen.monitor.poll)
