"""A WebSocket client that may break every rule of RFC 6455."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from types import TracebackType
from typing import NamedTuple
from urllib.parse import quote, urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
TIMEOUT = 30.0


class Answer(NamedTuple):
    """The answer to a handshake."""

    status: int
    headers: dict[str, str]
    body: bytes


class Received(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        return int(struct.unpack("!H", self.payload[:2])[0]) if self.payload else 1005


class RawSocket:
    """A TCP connection to the gateway, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, url: str) -> RawSocket:
        address = urlsplit(url)
        return cls(*await asyncio.open_connection(address.hostname, address.port))

    @classmethod
    async def connected(cls, url: str, token: str, *, vsn: str = "2.0.0") -> RawSocket:
        """An upgraded connection."""
        raw = await cls.open(url)
        answer = await raw.handshake(token, vsn=vsn)
        assert answer.status == 101, answer
        return raw

    async def __aenter__(self) -> RawSocket:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def write(self, data: bytes) -> None:
        """Send bytes; a connection that the server has cut is no error."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def handshake(
        self,
        token: str | None,
        *,
        vsn: str | None = "2.0.0",
        path: str = "/realtime/v1/websocket",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        query = {"apikey": token, "vsn": vsn}
        pairs = [f"{name}={quote(value)}" for name, value in query.items() if value is not None]
        lines = {
            "Host": "127.0.0.1",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.write(f"GET {path}?{'&'.join(pairs)} HTTP/1.1\r\n{head}\r\n".encode())
        return await self.answer()

    async def answer(self) -> Answer:
        async with asyncio.timeout(TIMEOUT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *rest = head.rstrip().split("\r\n")
            headers = {}
            for line in rest:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            status = int(first.split()[1])
            size = 0 if status == 101 else int(headers.get("content-length", 0))
            return Answer(status, headers, await self.reader.readexactly(size))

    async def send(
        self,
        opcode: int,
        payload: bytes,
        *,
        final: bool = True,
        masked: bool = True,
        reserved: int = 0,
    ) -> None:
        await self.write(frame(opcode, payload, final=final, masked=masked, reserved=reserved))

    async def receive(self) -> Received | None:
        """The next frame; None at the end of the stream."""
        try:
            async with asyncio.timeout(TIMEOUT):
                first, second = await self.reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
                return Received(first & 0x0F, await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def closed_with(self) -> int:
        """Read to the end; answer the close code, 1006 when the connection was just cut."""
        while (received := await self.receive()) is not None:
            if received.opcode == CLOSE:
                return received.close_code
        return 1006

    async def alive(self) -> bool:
        """Whether a heartbeat is still answered."""
        await self.send(TEXT, b'[null,"hb","phoenix","heartbeat",{}]')
        while (received := await self.receive()) is not None:
            if received.opcode == CLOSE:
                return False
            if received.opcode == TEXT and b'"hb"' in received.payload:
                return True
        return False


def frame(
    opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """A client's frame; `reserved` are the three bits RSV1 to RSV3."""
    first = (0x80 if final else 0) | (reserved << 4) | opcode
    mask_bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    # A key of zeros leaves the payload as it is.
    return head + (b"\0\0\0\0" if masked else b"") + payload
