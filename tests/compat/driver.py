"""The test's end of a client process: commands in, events out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

TIMEOUT = 90.0
SUBSCRIBED = "SUBSCRIBED"

Event = dict[str, Any]


class Driver:
    """One real client in a process of its own; `events` holds all it told, in order."""

    def __init__(self, process: asyncio.subprocess.Process, *, vsn: str | None) -> None:
        self.events: list[Event] = []
        self._process = process
        self._vsn = vsn
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: list[str], *, vsn: str | None = None) -> Driver:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 24,
        )
        return cls(process, vsn=vsn)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def tell(self, *commands: Event) -> None:
        """Give commands; the client runs those of one call in one go."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(commands).encode() + b"\n")
        await self._process.stdin.drain()

    def connecting(
        self, url: str, key: str, token: str | None = None, params: Event | None = None
    ) -> Event:
        options = {"token": token, "vsn": self._vsn, "params": params}
        return {"do": "connect", "url": url, "key": key, **options}

    async def connect(
        self, url: str, key: str, token: str | None = None, params: Event | None = None
    ) -> None:
        """params: of the connection, as applications may give them."""
        await self.tell(self.connecting(url, key, token, params))

    async def subscribe(self, channel: str, *bindings: Event, **more: Any) -> None:
        """Subscribe and wait for the first status, which must be SUBSCRIBED."""
        await self.tell(subscribing(channel, *bindings, **more))
        await self.subscribed(channel)

    async def subscribed(self, channel: str, times: int = 1) -> None:
        await self.until(lambda: self.statuses(channel).count(SUBSCRIBED) >= times)

    async def authorize(self, token: str | None) -> None:
        """Set the user's token, as applications do before their first private subscription;
        None: supabase-js gets it from where it was told to."""
        before = len(self.told("authorized"))
        await self.tell({"do": "set_auth", "token": token})
        await self.until(lambda: len(self.told("authorized")) > before)

    async def leave(self, channel: str) -> None:
        await self.tell({"do": "leave", "channel": channel})
        await self.until(lambda: bool(self.told("left", channel)))

    # What came

    def told(self, key: str, channel: str | None = None) -> list[Event]:
        return [
            event
            for event in self.events
            if key in event and channel in (None, event.get("channel"))
        ]

    def statuses(self, channel: str) -> list[str]:
        return [event["status"] for event in self.told("status", channel)]

    def changes(self, channel: str) -> list[Change]:
        return [Change(event) for event in self.told("change", channel)]

    def broadcasts(self, channel: str) -> list[Event]:
        """What the application was handed: `{type, event, payload}`, perhaps with `meta`."""
        return [event["broadcast"] for event in self.told("broadcast", channel)]

    async def wait_broadcasts(self, channel: str, count: int) -> list[Event]:
        await self.until(lambda: len(self.broadcasts(channel)) >= count)
        return self.broadcasts(channel)

    def present(self, channel: str) -> dict[str, list[Event]]:
        """Who is there, as the client says: what each tracks, without refs, by key."""
        synced = self.told("presence", channel)
        state = synced[-1]["presence"] if synced else {}
        return {
            key: [{k: v for k, v in meta.items() if "ref" not in k} for meta in metas]
            for key, metas in state.items()
        }

    async def wait_present(self, channel: str, expected: dict[str, list[Event]]) -> None:
        await self.until(lambda: self.present(channel) == expected)

    async def outcome(self, command: Event) -> Any:
        """Give a command that has an outcome, and wait for it."""
        before = len(self.told("outcome"))
        await self.tell(command)
        await self.until(lambda: len(self.told("outcome")) > before)
        return self.told("outcome")[before]["outcome"]

    async def wait_changes(self, channel: str, count: int) -> list[Change]:
        await self.until(lambda: len(self.changes(channel)) >= count)
        return self.changes(channel)

    async def wait_system(self, channel: str, words: str) -> Event:
        def found() -> list[Event]:
            systems = [event["system"] for event in self.told("system", channel)]
            return [system for system in systems if words in system["message"]]

        await self.until(lambda: bool(found()))
        return found()[0]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._news:
            try:
                await asyncio.wait_for(
                    self._news.wait_for(lambda: condition() or self._reader.done()), TIMEOUT
                )
            except TimeoutError:
                raise AssertionError(f"waited {TIMEOUT} s; told: {self.events[-12:]}") from None
        if not condition():
            raise AssertionError(f"the client ended; told: {self.events[-12:]}")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            async with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Change:
    """One change as the client handed it to the application, JS or Python."""

    def __init__(self, event: Event) -> None:
        payload = event["change"]
        # JS flattens the payload; Python hands it over as it came.
        data = payload.get("data", payload)
        self.binding: int = event["binding"]
        self.type: str = data.get("eventType") or data["type"]
        self.table: str = data["table"]
        self.new: dict[str, Any] = data.get("new") or data.get("record") or {}
        self.old: dict[str, Any] = data.get("old") or data.get("old_record") or {}
        self.errors: list[str] | None = data["errors"]
        self.commit_timestamp: str = data["commit_timestamp"]

    def __repr__(self) -> str:
        return f"Change({self.binding}, {self.type}, {self.table}, {self.new}, {self.old})"


def subscribing(channel: str, *bindings: Event, **more: Any) -> Event:
    return {"do": "subscribe", "channel": channel, "bindings": list(bindings), **more}


def on(event: str = "*", table: str = "llamada", **more: Any) -> Event:
    """A binding on a table in `public`."""
    return {"event": event, "schema": "public", "table": table, **more}
