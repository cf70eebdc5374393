"""Work of `realtime_hub.ops` in a process that ends itself by SIGKILL at a step of its own.

A step is what reaches the disk or the server: a flush, a renaming, an exchange on a connection.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import psycopg

from realtime_hub.changes import TableName
from realtime_hub.ops import slim
from realtime_hub.ops.audit.use import Use
from realtime_hub.ops.slim import Candidate, Manifest, Plan

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def plan(publication: str, tables: Sequence[str]) -> Plan:
    found = [Candidate(TableName("public", name), Use.NONE_FOUND, (), None) for name in tables]
    return Plan(publication, found, ())


async def take_out(dsn: str, publication: str, tables: Sequence[str], folder: Path) -> None:
    await slim.apply(dsn, await slim.prepare(dsn, plan(publication, tables), folder))


async def put_back(dsn: str, folder: Path) -> None:
    await slim.rollback(dsn, Manifest.read(folder))


def killed_at(step: int, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> bool:
    """Whether it was killed before its step of this number, from 0; else it came to its end."""
    process = _PROCESSES.Process(target=_work, args=(step, work, *arguments))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _work(step: int, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    left = step

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*given, **named)

        return called

    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    psycopg.AsyncConnection.wait = counted(psycopg.AsyncConnection.wait)  # type: ignore[method-assign]
    asyncio.run(work(*arguments))
