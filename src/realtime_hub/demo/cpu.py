"""What the demo's database spends, and how much of it on realtime: from the system's own figures.

Linux tells each process's CPU time (proc(5), /proc/PID/stat); PostgreSQL has a process for each
connection and tells what it is for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from realtime_hub.demo.rows import APPLICATION

_BACKENDS: Final[LiteralString] = """
select pid, backend_type = 'walsender' or application_name like 'realtime_hub_%%'
from pg_stat_activity where pid <> pg_backend_pid() and application_name <> %s
"""
_INTERVAL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of CPU since the meter began; at: seconds since the Unix epoch."""

    at: float
    realtime: float
    other: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class CpuMeter:
    """Reads each second. Without a server of the demo's own there is no reading.

    What the page itself reads, and this meter, are left out of both shares.
    """

    def __init__(self, dsn: str | None) -> None:
        self._dsn = dsn if Path("/proc/self/stat").exists() else None
        self._spent: dict[int, float] = {}
        self._totals = {True: 0.0, False: 0.0}
        self._tick = os.sysconf("SC_CLK_TCK")
        self.reading: Reading | None = None

    async def run(self) -> None:
        """Until cancelled, or until the database is gone."""
        if self._dsn is None:
            await asyncio.Event().wait()
            return
        async with await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, application_name=APPLICATION
        ) as connection:
            while True:
                cursor = await connection.execute(_BACKENDS, (APPLICATION,))
                self._read(await cursor.fetchall())
                await asyncio.sleep(_INTERVAL)

    def _read(self, backends: Iterable[tuple[int, bool]]) -> None:
        spent: dict[int, float] = {}
        for pid, realtime in backends:
            seconds = self._seconds(pid)
            if seconds is not None:
                spent[pid] = seconds
                # What a process spent before it was first seen is somebody's past.
                self._totals[bool(realtime)] += max(0.0, seconds - self._spent.get(pid, seconds))
        self._spent = spent
        self.reading = Reading(time.time(), self._totals[True], self._totals[False])

    def _seconds(self, pid: int) -> float | None:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None  # it has ended meanwhile
        # The name in parentheses may hold anything; utime and stime are fields 14 and 15.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / self._tick
