"""The library's dispatch: callbacks a second, many filtered listeners, memory under churn.

    python -m bench.dispatch [--repeats 5]

The anchor is a bare loop over a list of callables in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from collections.abc import Callable
from typing import Any

from bench import support
from realtime_hub import Change, RealtimeHub
from realtime_hub.testing import memory_hub

LISTENERS = 10_000
MATCHING = 10
PAIRS = 100_000


def noop(change: Change) -> None:
    """What a callback costs that does nothing."""


def payload(call_id: int) -> dict[str, Any]:
    record = {"call_id": call_id, "estado": "activa", "agente": "a", "duracion_s": 12}
    kinds = {"call_id": "int8", "estado": "text", "agente": "text", "duracion_s": "int4"}
    return {
        "ids": [1],
        "data": {
            "schema": "public",
            "table": "calls",
            "commit_timestamp": "2026-01-31T10:20:30.123Z",
            "type": "UPDATE",
            "columns": [{"name": name, "type": kind} for name, kind in kinds.items()],
            "record": record,
            "old_record": {"call_id": call_id},
            "errors": None,
        },
    }


def rate(work: Callable[[], int], repeats: int) -> float:
    """The best of some runs, in units a second: the others were disturbed."""
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - started))
    return best


async def dispatches(repeats: int, listeners: int, changes: int) -> tuple[float, float]:
    """Callbacks a second through the hub, and by a bare loop."""
    async with memory_hub() as (hub, _):
        for _ in range(listeners):
            await hub.subscribe("calls", "*", noop)
        receiver = _receiver(hub)

        def through_the_hub() -> int:
            for number in range(changes):
                receiver.change(Change(payload_of[number % 10]))
            return listeners * changes

        callbacks = [noop] * listeners

        def bare() -> int:
            for number in range(changes):
                change = Change(payload_of[number % 10])
                for callback in callbacks:
                    callback(change)
            return listeners * changes

        payload_of = [payload(number) for number in range(10)]
        return rate(through_the_hub, repeats), rate(bare, repeats)


async def filtered(repeats: int, listeners: int) -> float:
    """Changes a second of which each matches ten of the listeners by an equality filter."""
    async with memory_hub() as (hub, _):
        for number in range(listeners):
            wanted = number // MATCHING
            await hub.subscribe("calls", "UPDATE", noop, filter=f"call_id=eq.{wanted}")
        await asyncio.sleep(1)
        receiver = _receiver(hub)
        change = payload(0)

        def work() -> int:
            for _ in range(5_000):
                receiver.change(Change(change))
            return 5_000

        before = hub.statistics().tables["public.calls"].deliveries
        work()
        after = hub.statistics().tables["public.calls"].deliveries
        assert after - before == MATCHING * 5_000
        return rate(work, repeats)


async def churn() -> tuple[float, int]:
    """Subscribe/unsubscribe pairs a second, and bytes by which they made the process grow."""
    async with memory_hub() as (hub, _):
        await hub.subscribe("calls", "*", noop)

        async def pairs(count: int) -> None:
            for number in range(count):
                hub.subscribe("calls", "UPDATE", noop, filter=f"call_id=eq.{number}")()
                if number % 1000 == 0:
                    await asyncio.sleep(0)

        await pairs(PAIRS // 10)
        gc.collect()
        before = support.resident_bytes(os.getpid())
        started = time.perf_counter()
        await pairs(PAIRS)
        took = time.perf_counter() - started
        gc.collect()
        return PAIRS / took, support.resident_bytes(os.getpid()) - before


def _receiver(hub: RealtimeHub) -> Any:
    """Where the upstream hands changes in: what stands before it is the upstream's cost."""
    (channel,) = hub._tables._channels.values()
    return channel._live


async def measure(repeats: int) -> None:
    many, bare_many = await dispatches(repeats, listeners=100, changes=3_000)
    single, bare_single = await dispatches(repeats, listeners=1, changes=100_000)
    few = await filtered(repeats, MATCHING)
    lots = await filtered(repeats, LISTENERS)
    pairs, grown = await churn()
    support.table(
        "Dispatch",
        [
            ("callbacks/s, 100 listeners a change", f"{many:,.0f}"),
            ("the same by a bare loop", f"{bare_many:,.0f}"),
            ("callbacks/s, 1 listener a change", f"{single:,.0f}"),
            ("the same by a bare loop", f"{bare_single:,.0f}"),
            (f"changes/s, {MATCHING} listeners, all match by eq", f"{few:,.0f}"),
            (f"changes/s, {LISTENERS:,} listeners, {MATCHING} match", f"{lots:,.0f}"),
            ("ratio of the last two (1: as fast)", f"{lots / few:.2f}"),
            ("subscribe/unsubscribe pairs/s", f"{pairs:,.0f}"),
            (f"growth over {PAIRS:,} pairs", f"{grown / 1024:,.0f} KiB"),
        ],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    asyncio.run(measure(parser.parse_args().repeats))
