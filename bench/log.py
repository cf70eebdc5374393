"""What keeping changes costs: appends per second, and CPU per row on the loop and in all.

python -m bench.log [--rows 200000] [--batch 36]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.support import table
from realtime_hub.changes import UNKNOWN, Change, Column, Kind, PgType, Row, Table
from realtime_hub.hub.ports import Batch, ChangeLog
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.log.sqlite import SqliteChangeLog
from realtime_hub.lsn import Position
from realtime_hub.wire.cursor import cursor_key, decode_cursor, encode_cursor

VALUES: tuple[bytes, ...] = (
    *(b"b7e1f0d2-6c1c-4d38-9a57-3f0f6f1f4a11", b"Reserva confirmada por telefono", b"Ana"),
    *(b"42", b"19.90", b"t", b"{a,b}", b'{"origen": "web", "lineas": [1, 2, 3]}', b"x" * 40),
    *(b"2026-01-31 10:20:30.123456+00", b"2026-01-31 10:20:30.123456+00"),
)
TABLE = Table(
    oid=16384,
    schema="public",
    name="reservas",
    columns=tuple(Column(f"c{i}", 25, "text", primary_key=i == 0) for i in range(12)),
    types={25: PgType(25, "text", category="S")},
)


def make_changes(count: int, epoch: int, kind: Kind) -> list[Change]:
    changes = []
    for lsn in range(1, count + 1):
        key = str(lsn).encode()
        old: Row | None = (key, *([UNKNOWN] * 11)) if kind is Kind.UPDATE else None
        position = Position(epoch, lsn, 0)
        new = (key, *(bytes(bytearray(value)) for value in VALUES))  # objects of their own
        changes.append(Change(position, kind, TABLE, lsn, lsn, new, old))
    return changes


def batches_of(changes: list[Change], size: int) -> list[Batch]:
    chunks = (changes[i : i + size] for i in range(0, len(changes), size))
    return [Batch(chunk, confirmable=chunk[-1].position.lsn) for chunk in chunks]


class Clocks:
    """Microseconds since it was made: wall, the loop's thread, the process."""

    def __init__(self) -> None:
        self._start = self._read()

    def per(self, count: int) -> tuple[float, float, float]:
        wall, loop, process = (
            1e6 * (now - then) / count for now, then in zip(self._read(), self._start, strict=True)
        )
        return wall, loop, process

    @staticmethod
    def _read() -> tuple[float, float, float]:
        return time.perf_counter(), time.thread_time(), time.process_time()


def report(name: str, figures: tuple[float, float, float]) -> tuple[str, str]:
    wall, loop, process = figures
    rate = f"{1e6 / wall:>10,.0f} rows/s"
    return name, f"{rate}   {loop:6.2f} us on the loop   {process:6.2f} us in all, per row"


async def append_all(log: ChangeLog, batches: list[Batch]) -> None:
    for batch in batches:
        log.append(batch)
        await log.room()
        await asyncio.sleep(0)
    last = batches[-1].confirmable
    while log.durable_lsn < last:
        await log.sync()


async def measure(name: str, log: ChangeLog, args: argparse.Namespace, kind: Kind) -> None:
    changes = make_changes(args.rows, log.epoch, kind)
    batches = batches_of(changes, args.batch)
    del changes
    clocks = Clocks()
    await append_all(log, batches)
    rows = [report(f"append {kind.lower()}s", clocks.per(args.rows))]
    del batches
    statistics = log.statistics()
    clocks = Clocks()
    count = await read_all(log)
    rows.append(report("read back", clocks.per(count)))
    ticker = asyncio.create_task(longest_turn())
    await read_all(log)
    ticker.cancel()
    rows.append(("rows read", f"{count:>10,}; the loop was held {await ticker:.1f} ms at most"))
    rows.append(
        ("in the file", f"{statistics.bytes / max(1, statistics.changes):>10.0f} bytes/row")
    )
    rows.append(("transactions", f"{statistics.syncs:>10,}"))
    table(name, rows)
    await log.aclose()


async def read_all(log: ChangeLog) -> int:
    count = 0
    async for _ in log.read(log.floor, None):
        count += 1
    return count


async def longest_turn() -> float:
    """The longest time in milliseconds for which the loop did not come round, until cancelled."""
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return 1e3 * longest


def cost(work: Callable[[], object], times: int = 50_000) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return 1e6 * (time.perf_counter() - start) / times


def measure_cursors() -> None:
    key, position = cursor_key(b"secret" * 6), Position(1_795_405_526_123, 0x16_B374_D848, 7)
    cursor = encode_cursor(position, key)
    rows = [
        ("encode", f"{min(cost(lambda: encode_cursor(position, key)) for _ in range(5)):.2f} us"),
        ("decode", f"{min(cost(lambda: decode_cursor(cursor, key)) for _ in range(5)):.2f} us"),
    ]
    table("cursors", rows)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=36, help="changes of one read of the stream")
    args = parser.parse_args()
    for kind in (Kind.INSERT, Kind.UPDATE):
        await measure("memory", MemoryChangeLog(), args, kind)
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
            log = await SqliteChangeLog.open(Path(place) / "log", system="bench")
            await measure("sqlite", log, args, kind)
    measure_cursors()


if __name__ == "__main__":
    asyncio.run(main())
