"""A TCP proxy that can go deaf: connections stay open, but nothing passes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

Change = Callable[[bytes], bytes]


class Proxy:
    """Forwards a port of 127.0.0.1; `port` is where to connect.

    `deafen` silences the connections that are open, not later ones. up, down: what passes to and
    from the target instead of what came; an OSError of theirs ends the connection.
    """

    def __init__(self, target: int, *, up: Change = bytes, down: Change = bytes) -> None:
        self.port = 0
        self._target = target
        self._up = up
        self._down = down
        self._server: asyncio.Server | None = None
        self._open: set[_Pipe] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def deafen(self) -> None:
        for pipe in self._open:
            pipe.deaf = True

    def cut(self) -> None:
        """End all connections that are open, as a cable does that is pulled out."""
        for pipe in self._open:
            pipe.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        for pipe in (_Pipe(reader, far_writer, self._up), _Pipe(far_reader, writer, self._down)):
            self._open.add(pipe)
            task = asyncio.create_task(pipe.run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class _Pipe:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Change
    ) -> None:
        self.deaf = False
        self._change = change
        self._reader = reader
        self._writer = writer

    def cut(self) -> None:
        self._writer.transport.abort()

    async def run(self) -> None:
        try:
            while data := await self._reader.read(65536):
                if not self.deaf:
                    self._writer.write(self._change(data))
                    await self._writer.drain()
        except OSError:
            return
        finally:
            self._writer.close()
