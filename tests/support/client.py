"""A small Realtime client over aiohttp that shows every frame, for both protocol versions.

It follows Phoenix' socket protocol: version 1.0.0 sends objects, 2.0.0 arrays. It never
reconnects, sends no heartbeat by itself and keeps all that came, in order.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support import secrets

TIMEOUT = 30.0
PATHS = ("/realtime/v1/websocket", "/socket/websocket")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from the server; `raw` is its text, for comparisons that must keep numbers."""

    topic: str
    event: str
    payload: Any
    ref: str | None
    join_ref: str | None
    raw: str = field(repr=False, default="")


@dataclass(slots=True)
class Channel:
    """A joined topic, or one whose join was refused."""

    client: RealtimeClient
    topic: str
    join_ref: str
    reply: Frame

    @property
    def joined(self) -> bool:
        return bool(self.reply.payload["status"] == "ok")

    @property
    def reason(self) -> str:
        """Why the join was refused."""
        return str(self.reply.payload["response"].get("reason", ""))

    @property
    def bindings(self) -> list[dict[str, Any]]:
        """The join reply's echo, one entry per binding, each with its id."""
        return list(self.reply.payload["response"]["postgres_changes"])

    @property
    def ids(self) -> list[int]:
        return [entry["id"] for entry in self.bindings]

    @property
    def frames(self) -> list[Frame]:
        return [frame for frame in self.client.frames if frame.topic == self.topic]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The payloads `{ids, data}` of all changes so far."""
        return [frame.payload for frame in self.frames if frame.event == "postgres_changes"]

    @property
    def systems(self) -> list[dict[str, Any]]:
        return [frame.payload for frame in self.frames if frame.event == "system"]

    async def wait(self, found: Callable[[Frame], bool], timeout: float = TIMEOUT) -> Frame:
        return await self.client.wait(lambda f: f.topic == self.topic and found(f), timeout)

    async def wait_changes(self, count: int, timeout: float = TIMEOUT) -> list[dict[str, Any]]:
        """Wait until `count` changes have come; answer all of them."""
        await self.client.until(lambda: len(self.changes) >= count, timeout)
        return self.changes

    async def wait_system(self, status: str, words: str = "") -> dict[str, Any]:
        frame = await self.wait(
            lambda f: (
                f.event == "system"
                and f.payload["status"] == status
                and words in f.payload["message"]
            )
        )
        return dict(frame.payload)

    async def push(self, event: str, payload: Any) -> str:
        return await self.client.send(self.topic, event, payload, join_ref=self.join_ref)

    async def leave(self) -> Frame:
        return await self.client.call(self.topic, "phx_leave", {}, join_ref=self.join_ref)


class RealtimeClient:
    """One WebSocket connection; use `connect` and leave the `async with` to close it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, version: str) -> None:
        self.socket = socket
        self.version = version
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self._refs = itertools.count(1)
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        token: str | None,
        *,
        version: str | None = "2.0.0",
        path: str = PATHS[0],
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> RealtimeClient:
        """Connect to a gateway at `url` (http://host:port).

        Raises aiohttp.WSServerHandshakeError with the HTTP status when the gateway refuses.
        """
        if token is not None:
            query["apikey"] = token
        if version is not None:
            query["vsn"] = version
        session = aiohttp.ClientSession()
        try:
            socket = await session.ws_connect(
                url + path, params=query, headers=headers, max_msg_size=0, autoclose=False
            )
        except BaseException:
            await session.close()
            raise
        client = cls(socket, version or "1.0.0")
        client._session = session
        return client

    async def __aenter__(self) -> RealtimeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.socket.close()
        await self._reader
        if self._session is not None:
            await self._session.close()
        kinds = secrets.found_in("\n".join(frame.raw for frame in self.frames))
        assert not kinds, f"the gateway sent {' and '.join(kinds)}"

    async def vanish(self) -> None:
        """Be gone without a word, as a process that was killed: no pong, no closing handshake."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self.socket._response.close()
        if self._session is not None:
            await self._session.close()

    @property
    def closed(self) -> bool:
        return self._reader.done()

    async def send(
        self,
        topic: str,
        event: str,
        payload: Any,
        *,
        join_ref: str | None = None,
        ref: str | None = "",
    ) -> str:
        """Send a frame; its ref is made up unless one (or None) is given. Answers the ref."""
        chosen = str(next(self._refs)) if ref == "" else ref
        if self.version.startswith("1"):
            message: Any = {"topic": topic, "event": event, "payload": payload, "ref": chosen}
            if join_ref is not None:
                message["join_ref"] = join_ref
        else:
            message = [join_ref, chosen, topic, event, payload]
        await self.socket.send_str(json.dumps(message))
        return chosen or ""

    async def call(
        self, topic: str, event: str, payload: Any, *, join_ref: str | None = None
    ) -> Frame:
        """Send a frame and wait for its reply."""
        ref = await self.send(topic, event, payload, join_ref=join_ref)
        return await self.wait(lambda f: f.event == "phx_reply" and f.ref == ref)

    async def join(
        self,
        topic: str,
        postgres_changes: Sequence[dict[str, Any]] = (),
        *,
        access_token: str | None = None,
        **config: Any,
    ) -> Channel:
        """Join `realtime:<topic>` and wait for the reply, whether ok or error."""
        full = f"realtime:{topic}"
        ref = str(next(self._refs))
        payload: dict[str, Any] = {
            "config": {
                "broadcast": {"ack": False, "self": False},
                "presence": {"key": "", "enabled": False},
                "private": False,
                "postgres_changes": list(postgres_changes),
                **config,
            }
        }
        if access_token is not None:
            payload["access_token"] = access_token
        await self.send(full, "phx_join", payload, join_ref=ref, ref=ref)
        reply = await self.wait(lambda f: f.event == "phx_reply" and f.ref == ref)
        return Channel(self, full, ref, reply)

    async def heartbeat(self) -> Frame:
        return await self.call("phoenix", "heartbeat", {})

    async def wait(self, found: Callable[[Frame], bool], timeout: float = TIMEOUT) -> Frame:
        """The first frame, past or coming, for which `found` holds."""
        await self.until(lambda: any(found(frame) for frame in self.frames), timeout)
        return next(frame for frame in self.frames if found(frame))

    async def until(self, condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
        """Wait for a condition on what has come; fails as soon as the connection is closed."""
        async with self._news:
            try:
                await asyncio.wait_for(
                    self._news.wait_for(lambda: condition() or self.closed_by_server), timeout
                )
            except TimeoutError:
                raise AssertionError(f"waited {timeout} s; came: {self.frames[-12:]}") from None
        if not condition():
            raise AssertionError(
                f"closed with {self.close_code} while waiting; came: {self.frames[-12:]}"
            )

    async def wait_closed(self, timeout: float = TIMEOUT) -> int | None:
        """Wait until the server has closed the connection; answer the close code."""
        await asyncio.wait_for(asyncio.shield(self._reader), timeout)
        return self.close_code

    @property
    def closed_by_server(self) -> bool:
        return self.close_code is not None

    async def _read(self) -> None:
        while True:
            message = await self.socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                frame = parse_frame(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                frame = parse_broadcast(message.data)
            else:
                if message.type is aiohttp.WSMsgType.CLOSE:
                    # As RFC 6455 has it, and browsers do: the closing code comes back.
                    await self.socket.close(code=message.data or 1000)
                break
            async with self._news:
                self.frames.append(frame)
                self._news.notify_all()
        async with self._news:
            self.close_code = self.socket.close_code or 1006
            self._news.notify_all()


def parse_frame(text: str) -> Frame:
    """Read a text frame of either version."""
    value = json.loads(text)
    if isinstance(value, list):
        join_ref, ref, topic, event, payload = value
    else:
        topic, event, payload, ref = (value[k] for k in ("topic", "event", "payload", "ref"))
        join_ref = value.get("join_ref")
    return Frame(topic, event, payload, ref, join_ref, text)


def parse_broadcast(data: bytes) -> Frame:
    """Read a binary frame of kind 4, as realtime-js' serializer does."""
    kind, topic_size, event_size, meta_size, encoding = data[:5]
    if kind != 4:
        raise ValueError(f"binary frame of kind {kind}")
    parts, at = [], 5
    for size in (topic_size, event_size, meta_size):
        parts.append(data[at : at + size])
        at += size
    body: Any = json.loads(data[at:]) if encoding == 1 else data[at:]
    payload = {"type": "broadcast", "event": parts[1].decode(), "payload": body}
    if parts[2]:
        payload["meta"] = json.loads(parts[2])
    return Frame(parts[0].decode(), "broadcast", payload, None, None)


def push_broadcast(topic: str, event: str, payload: Any, *, join_ref: str, ref: str) -> bytes:
    """Write a binary frame of kind 3, as realtime-js' serializer does for every broadcast."""
    names = [text.encode() for text in (join_ref, ref, topic, event)]
    head = bytes([3, *(len(name) for name in names), 0, 1])
    return head + b"".join(names) + json.dumps(payload).encode()
