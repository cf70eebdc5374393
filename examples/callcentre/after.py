"""After: the same components and handlers on a hub. One channel per table.

The filter of the call's detail is judged in the hub, which asks the server for it only where
nobody needs more. The chat's chained channel has become three subscriptions; its fourth, on a
table that has left the publication, is gone. The subscription that never worked says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from examples.callcentre.components import Payload, Screen
from realtime_hub import Change, RealtimeHub, Subscription, every


def raw(handler: Callable[[Payload], None]) -> Callable[[Change], None]:
    """A handler of raw payloads as the hub's callback: no handler had to change."""
    return lambda change: handler(change.payload)


class HubSubscriptions:
    """A screen's components on one hub."""

    def __init__(self, hub: RealtimeHub, screen: Screen, *, poll: float = 30.0) -> None:
        self._hub = hub
        self._screen = screen
        self._poll = poll
        self.refused: list[Exception] = []

    async def mount(self) -> None:
        hub, screen = self._hub, self._screen
        self._hub.on_error(lambda error, change: self.refused.append(error))
        monitor = screen.monitor
        both = ("INSERT", "UPDATE")
        subscriptions = [
            self._on("llamadas_ventas", "*", screen.store.on_call),
            hub.subscribe(
                "llamadas_ventas",
                both,
                raw(monitor.on_call),
                fallback=every(self._poll, monitor.poll, when="always"),
            ),
            self._on("llamadas_ventas", "INSERT", screen.active_calls.on_insert),
            self._on("llamadas_ventas", "UPDATE", screen.active_calls.on_update),
            hub.subscribe(
                "llamadas_ventas",
                "UPDATE",
                raw(screen.detail.on_update),
                filter=f"call_id=eq.{screen.detail.call_id}",
            ),
            self._on("prospectos", "INSERT", screen.new_prospects.on_new),
            self._on("prospectos", "UPDATE", screen.new_prospects.on_changed),
            self._on("mensajes_whatsapp", "INSERT", screen.new_prospects.on_message),
            self._on("prospectos", "UPDATE", screen.prospects.on_update),
            self._on("prospectos", "UPDATE", screen.conversations.on_prospect),
            self._on("mensajes_whatsapp", "INSERT", screen.conversations.on_message),
            self._on("mensajes_whatsapp", "INSERT", screen.chat.on_message),
            self._on("prospectos", "UPDATE", screen.chat.on_prospect),
            self._on("llamadas_programadas", "UPDATE", screen.chat.on_planned),
        ]
        self._on("uchat_conversations", "*", screen.conversations.on_external)
        self._on("uchat_messages", "INSERT", screen.conversations.on_external)
        for subscription in subscriptions:
            await subscription

    async def logout(self) -> None:
        await self._hub.cleanup()

    def channels_by_table(self) -> dict[str, int]:
        """How many channels listen to each table."""
        return {
            name.removeprefix("public."): table.channels
            for name, table in self._hub.statistics().tables.items()
            if table.channels
        }

    def _on(
        self, table: str, events: str | Iterable[str], handler: Callable[[Payload], None]
    ) -> Subscription:
        return self._hub.subscribe(table, events, raw(handler))
