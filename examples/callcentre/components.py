"""Eight components of a call centre's screen, with what they do when a row changes.

Nothing here knows how changes come: `before` opens channels for it, `after` uses a hub. Handlers
take the raw payload of a `postgres_changes` message, as the Realtime client hands it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]
Fetch = Callable[[], list[dict[str, Any]]]


class LiveActivityStore:
    """All calls, for whoever asks. Refreshes at most once in a short while, and keeps a call
    that has ended for a grace period."""

    def __init__(self, *, debounce: float = 0.05, grace: float = 0.1) -> None:
        self.calls: dict[int, str] = {}
        self.refreshed = 0
        self._debounce, self._grace = debounce, grace
        self._refresh: asyncio.TimerHandle | None = None

    def on_call(self, payload: Payload) -> None:
        data = payload["data"]
        row = data.get("record") or data.get("old_record")
        loop = asyncio.get_running_loop()
        if data["type"] == "DELETE" or row["estado"] == "finalizada":
            loop.call_later(self._grace, self.calls.pop, row["call_id"], None)
        else:
            self.calls[row["call_id"]] = row["estado"]
        if self._refresh is not None:
            self._refresh.cancel()
        self._refresh = loop.call_later(self._debounce, self._refreshed)

    def _refreshed(self) -> None:
        self.refreshed += 1


class LiveMonitor:
    """The supervisor's list of calls, which a poll keeps right when changes do not come."""

    def __init__(self, fetch: Fetch) -> None:
        self.rows: dict[int, str] = {}
        self.polls = 0
        self._fetch = fetch

    def on_call(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        self.rows[row["call_id"]] = row["estado"]

    def poll(self) -> None:
        self.polls += 1
        self.rows |= {row["call_id"]: row["estado"] for row in self._fetch()}


class ActiveCallsWidget:
    """Active calls of the agent's coordination; a new one rings."""

    def __init__(self, coordination: int) -> None:
        self.active: set[int] = set()
        self.rung: list[int] = []
        self._coordination = coordination

    def on_insert(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        if row["coordinacion_id"] == self._coordination:
            self.active.add(row["call_id"])
            self.rung.append(row["call_id"])

    def on_update(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        if row["estado"] == "finalizada":
            self.active.discard(row["call_id"])


class ActiveCallDetail:
    """One call that is open on the screen."""

    def __init__(self, call_id: int) -> None:
        self.call_id = call_id
        self.states: list[tuple[int, str]] = []

    def on_update(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        self.states.append((row["call_id"], row["estado"]))


class NewProspectsWidget:
    """Prospects that have come, or have written."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def on_new(self, payload: Payload) -> None:
        self.seen.append(("new", payload["data"]["record"]["id"]))

    def on_changed(self, payload: Payload) -> None:
        self.seen.append(("changed", payload["data"]["record"]["id"]))

    def on_message(self, payload: Payload) -> None:
        self.seen.append(("message", payload["data"]["record"]["prospecto_id"]))


class ProspectsManager:
    """The table of prospects, as far as the agent's permissions go."""

    def __init__(self, coordination: int) -> None:
        self.stages: dict[int, str] = {}
        self._coordination = coordination

    def on_update(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        if row["coordinacion_id"] == self._coordination:
            self.stages[row["id"]] = row["etapa"]


class ConversationsWidget:
    """Conversations with their last message; external ones of uChat beside them."""

    def __init__(self) -> None:
        self.last: dict[int, str] = {}
        self.names: dict[int, str] = {}
        self.external: list[Payload] = []

    def on_prospect(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        self.names[row["id"]] = row["nombre"]

    def on_message(self, payload: Payload) -> None:
        row = payload["data"]["record"]
        self.last[row["prospecto_id"]] = row["mensaje"]

    def on_external(self, payload: Payload) -> None:
        self.external.append(payload)


class LiveChat:
    """The open chat: messages, the prospect's card, planned calls; once also labels."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def on_message(self, payload: Payload) -> None:
        self.seen.append(("message", payload["data"]["record"]["id"]))

    def on_prospect(self, payload: Payload) -> None:
        self.seen.append(("prospect", payload["data"]["record"]["id"]))

    def on_planned(self, payload: Payload) -> None:
        self.seen.append(("planned", payload["data"]["record"]["id"]))

    def on_label(self, payload: Payload) -> None:
        self.seen.append(("label", payload["data"]["record"]["id"]))


class Screen:
    """What one agent has open."""

    def __init__(self, *, coordination: int, call_id: int, fetch: Fetch) -> None:
        self.store = LiveActivityStore()
        self.monitor = LiveMonitor(fetch)
        self.active_calls = ActiveCallsWidget(coordination)
        self.detail = ActiveCallDetail(call_id)
        self.new_prospects = NewProspectsWidget()
        self.prospects = ProspectsManager(coordination)
        self.conversations = ConversationsWidget()
        self.chat = LiveChat()

    def shown(self) -> dict[str, object]:
        """What there is to see, for comparing."""
        return {
            "store": self.store.calls,
            "monitor": self.monitor.rows,
            "active calls": (self.active_calls.active, self.active_calls.rung),
            "detail": self.detail.states,
            "new prospects": sorted(self.new_prospects.seen),
            "prospects": self.prospects.stages,
            "conversations": (self.conversations.last, self.conversations.names),
            "chat": sorted(self.chat.seen),
        }
