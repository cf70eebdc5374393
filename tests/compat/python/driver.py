"""Drives an unmodified supabase-py: one JSON list of commands a line on stdin, one JSON event a
line on stdout. Runs in an environment of its own, with nothing of this project in it. Older
versions of the client lack `on_system` and `http_send`."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

from supabase import AsyncClient, AsyncClientOptions, acreate_client


def tell(**event: Any) -> None:
    sys.stdout.write(json.dumps(event, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else str(value)


class Commands:
    client: AsyncClient

    def __init__(self) -> None:
        self.rooms: dict[str, Any] = {}  # older clients make a channel anew each time

    async def connect(
        self,
        url: str,
        key: str,
        token: str | None = None,
        params: dict[str, str] | None = None,
        **_: Any,
    ) -> None:
        realtime: Any = {"params": params} if params else {}
        self.client = await acreate_client(url, key, AsyncClientOptions(realtime=realtime))
        if token is not None:
            await self.client.realtime.set_auth(token)

    async def subscribe(
        self,
        channel: str,
        bindings: list[dict[str, Any]] | None = None,
        broadcast: list[str] | None = None,
        presence: bool = False,
        config: dict[str, Any] | None = None,
    ) -> None:
        room = self.client.channel(channel, {"config": config} if config else None)
        self.rooms[channel] = room
        for number, binding in enumerate(bindings or []):
            room.on_postgres_changes(callback=self._on_change(channel, number), **binding)
        for event in broadcast or []:
            room.on_broadcast(event, lambda payload: tell(channel=channel, broadcast=payload))
        if presence:
            room.on_presence_sync(lambda: tell(channel=channel, presence=room.presence_state()))
        if hasattr(room, "on_system"):
            room.on_system(lambda payload: tell(channel=channel, system=payload))
        await room.subscribe(
            lambda status, error: tell(
                channel=channel, status=status.value, error=str(error) if error else None
            )
        )

    @staticmethod
    def _on_change(channel: str, number: int) -> Any:
        return lambda payload: tell(channel=channel, binding=number, change=payload)

    async def send(self, channel: str, event: str, payload: dict[str, Any]) -> None:
        await self.rooms[channel].send_broadcast(event, payload)

    async def http_send(
        self, channel: str, event: str, payload: Any, config: dict[str, Any] | None = None
    ) -> None:
        room = self.client.channel(channel, {"config": config} if config else None)
        if isinstance(payload, dict) and isinstance(payload.get("bytes"), str):
            payload = base64.b64decode(payload["bytes"])
        from realtime.exceptions import RealtimeHTTPError

        try:
            await room.http_send(event, payload)
        except RealtimeHTTPError as error:
            tell(channel=channel, outcome={"success": False, "error": str(error)})
        else:
            tell(channel=channel, outcome={"success": True})

    async def track(self, channel: str, payload: dict[str, Any]) -> None:
        await self.rooms[channel].track(payload)

    async def untrack(self, channel: str) -> None:
        await self.rooms[channel].untrack()

    async def leave(self, channel: str) -> None:
        await self.client.remove_channel(self.rooms[channel])
        tell(channel=channel, left="ok")

    async def set_auth(self, token: str) -> None:
        await self.client.realtime.set_auth(token)
        tell(authorized=True)


async def main() -> None:
    commands = Commands()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for command in json.loads(line):
            name = command.pop("do")
            if name == "exit":
                return
            await getattr(commands, name)(**command)


asyncio.run(main())
