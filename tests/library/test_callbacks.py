"""How callbacks are called: order, queues, pacing, polling, and what happens when they fail."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from realtime_hub import Change, RealtimeHub, every
from realtime_hub.errors import ListenerOverflowError
from realtime_hub.library.upstreams.memory import MemorySource
from realtime_hub.testing import memory_hub
from tests.library import clock
from tests.support.waiting import until


class Gate:
    """A coroutine function that waits to be opened, and notes what it was called with."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.got: list[int] = []

    async def __call__(self, change: Change) -> None:
        await self.open.wait()
        self.got.append(change.row["id"])


def write(source: MemorySource, *ids: int) -> None:
    for number in ids:
        source.insert("calls", {"id": number, "key": number % 2})


async def test_a_coroutine_function_is_called_for_one_change_at_a_time_in_order(
    hub: RealtimeHub, source: MemorySource
) -> None:
    running = 0
    got: list[int] = []

    async def callback(change: Change) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.001 * (5 - change.row["id"]))
        got.append(change.row["id"])
        running -= 1

    await hub.subscribe("calls", "INSERT", callback)
    write(source, *range(5))
    await hub.drain()
    assert got == list(range(5))


@pytest.mark.parametrize("own", [True, False])
async def test_an_executor_takes_plain_callables_off_the_loop_and_keeps_their_order(
    hub: RealtimeHub, source: MemorySource, own: bool
) -> None:
    got: list[int] = []
    threads: set[int] = set()

    def callback(change: Change) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.001)
        got.append(change.row["id"])

    with ThreadPoolExecutor(4) as pool:
        await hub.subscribe("calls", "INSERT", callback, executor=pool if own else True)
        write(source, *range(10))
        await hub.drain()
    assert got == list(range(10))
    assert threading.get_ident() not in threads


async def test_a_callback_that_raises_harms_nobody_and_is_told_with_its_change(
    hub: RealtimeHub, source: MemorySource
) -> None:
    told: list[tuple[str, int]] = []
    mine: list[Exception] = []
    got: list[Change] = []

    def plain(change: Change) -> None:
        raise ValueError("plain")

    async def coroutine(change: Change) -> None:
        raise ValueError("coroutine")

    def note(error: Exception, change: Change | None) -> None:
        assert change is not None
        told.append((str(error), change.row["id"]))

    hub.on_error(note)
    subscription = await hub.subscribe("calls", "INSERT", plain)
    await hub.subscribe("calls", "INSERT", coroutine)
    await hub.subscribe("calls", "INSERT", plain, executor=True)
    await hub.subscribe("calls", "INSERT", plain, on_error=lambda error, _: mine.append(error))
    await hub.subscribe("calls", "INSERT", got.append)
    write(source, 1, 2)
    await hub.drain()
    assert len(got) == 2
    expected = [("coroutine", 1), ("coroutine", 2), *[("plain", 1), ("plain", 2)] * 2]
    assert sorted(told) == sorted(expected)
    assert len(mine) == 2
    assert subscription.errors == 2
    assert hub.statistics().errors == 8


async def test_an_error_that_nobody_takes_is_logged_without_row_data(
    hub: RealtimeHub, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    def plain(change: Change) -> None:
        raise ValueError("why")

    await hub.subscribe("calls", "INSERT", plain)
    source.insert("calls", {"id": 1, "name": "Ana"})
    assert "why" in caplog.text
    assert "Ana" not in caplog.text


async def test_a_callback_that_holds_the_loop_up_is_reported(
    source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with RealtimeHub(source, slow_callback=0.001) as hub:
        await hub.subscribe("calls", "INSERT", lambda change: time.sleep(0.005))
        write(source, 1)
        assert hub.statistics().slow_calls == 1
    assert "executor=True" in caplog.text


async def test_a_plain_function_that_returns_a_coroutine_is_an_error(
    hub: RealtimeHub, source: MemorySource
) -> None:
    async def wanted(change: Change) -> None: ...

    def forgotten(change: Change) -> Awaitable[None]:
        return wanted(change)

    told: list[Exception] = []
    await hub.subscribe("calls", "INSERT", forgotten, on_error=lambda error, _: told.append(error))
    write(source, 1)
    assert "async def" in str(told[0])


async def test_a_full_queue_drops_the_oldest(hub: RealtimeHub, source: MemorySource) -> None:
    gate = Gate()
    subscription = await hub.subscribe("calls", "INSERT", gate, max_queue=2, overflow="drop_oldest")
    write(source, 1)
    await asyncio.sleep(0)
    write(source, 2, 3, 4, 5)
    gate.open.set()
    await hub.drain()
    assert gate.got == [1, 4, 5]
    assert subscription.drops == 2
    assert hub.statistics().drops == 2


async def test_a_full_queue_removes_the_listener(hub: RealtimeHub, source: MemorySource) -> None:
    gate = Gate()
    told: list[Exception] = []
    subscription = await hub.subscribe(
        "calls",
        "INSERT",
        gate,
        max_queue=2,
        overflow="disconnect",
        on_error=lambda error, _: told.append(error),
    )
    write(source, 1, 2, 3, 4)
    assert not subscription.active
    assert isinstance(told[0], ListenerOverflowError)
    assert len(told) == 1
    async with hub.stream("calls", "INSERT", max_queue=1, overflow="disconnect") as stream:
        write(source, 5, 6)
        with pytest.raises(ListenerOverflowError):
            await anext(stream)


async def test_a_full_queue_keeps_the_newest_of_each_key(
    hub: RealtimeHub, source: MemorySource
) -> None:
    gate = Gate()
    await hub.subscribe("calls", "INSERT", gate, max_queue=2, overflow="coalesce", coalesce="key")
    write(source, 0)
    await asyncio.sleep(0)
    write(source, 2, 3, 4, 5, 6)
    gate.open.set()
    await hub.drain()
    assert gate.got == [0, 5, 6]


async def test_coalesce_keeps_the_newest_of_each_key_that_waits(
    hub: RealtimeHub, source: MemorySource
) -> None:
    gate = Gate()
    await hub.subscribe("calls", "INSERT", gate, coalesce=lambda change: change.row["key"])
    write(source, 0)
    await asyncio.sleep(0)
    write(source, 2, 3, 4, 5)
    gate.open.set()
    await hub.drain()
    assert gate.got == [0, 4, 5]


async def test_a_full_queue_that_must_not_lose_anything_holds_the_upstream_back(
    hub: RealtimeHub, source: MemorySource
) -> None:
    gate = Gate()
    await hub.subscribe("calls", "INSERT", gate, max_queue=2)
    write(source, 1)
    await asyncio.sleep(0)
    write(source, 2)
    await source.room()
    write(source, 3)
    waiting = asyncio.create_task(source.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gate.open.set()
    await waiting
    await hub.drain()
    assert gate.got == [1, 2, 3]


def paced(
    times: list[float], work: Callable[[RealtimeHub, list[int]], Awaitable[object]]
) -> list[int]:
    """What a listener got when changes 0, 1, 2... come at these times."""

    async def run() -> list[int]:
        got: list[int] = []
        async with memory_hub() as (hub, source):
            await work(hub, got)
            for number, (before, at) in enumerate(zip([0.0, *times], times, strict=False)):
                await asyncio.sleep(at - before)
                source.insert("calls", {"id": number, "key": number % 2})
            await asyncio.sleep(60)
        return got

    return clock.run(run())


def test_debounce_calls_after_a_time_of_quiet_with_the_last_change() -> None:
    def debounced(hub: RealtimeHub, got: list[int]) -> Awaitable[object]:
        return hub.subscribe("calls", "*", lambda c: got.append(c.row["id"]), debounce=1)

    assert paced([0, 0.5, 1.2, 4, 10], debounced) == [2, 3, 4]


def test_throttle_calls_at_once_and_then_at_most_so_often_with_the_latest() -> None:
    def throttled(hub: RealtimeHub, got: list[int]) -> Awaitable[object]:
        return hub.subscribe("calls", "*", lambda c: got.append(c.row["id"]), throttle=1)

    assert paced([0, 0.2, 0.4, 1.5, 5], throttled) == [0, 2, 3, 4]


def test_pacing_with_coalesce_paces_each_key_by_itself() -> None:
    def throttled(hub: RealtimeHub, got: list[int]) -> Awaitable[object]:
        return hub.subscribe(
            "calls", "*", lambda c: got.append(c.row["id"]), throttle=1, coalesce="key"
        )

    assert paced([0, 0.1, 0.2, 0.3, 0.4], throttled) == [0, 1, 4, 3]


def test_nothing_that_was_held_back_comes_after_unsubscribing() -> None:
    async def leaving(hub: RealtimeHub, got: list[int]) -> None:
        leave = await hub.subscribe("calls", "*", lambda c: got.append(c.row["id"]), debounce=1)
        asyncio.get_running_loop().call_later(0.5, leave)

    assert paced([0, 0.1], leaving) == []


def test_the_fallback_polls_while_the_channel_is_down_and_once_after_it_returns() -> None:
    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        polled: list[float] = []

        async def fetch() -> None:
            polled.append(loop.time())

        async with memory_hub() as (hub, source):
            await hub.subscribe("calls", "*", print, fallback=every(30, fetch))
            await asyncio.sleep(100 - loop.time())
            assert polled == []
            source.disconnect()
            await asyncio.sleep(100)
            source.reconnect()
            await asyncio.sleep(100)
        return polled

    polled = clock.run(run())
    assert polled[:3] == [130, 160, 190]
    assert len(polled) == 4
    assert 200 <= polled[3] <= 200.5


def test_the_fallback_can_poll_always_and_outlives_errors() -> None:
    async def run() -> tuple[int, int]:
        polled = 0

        def fetch() -> None:
            nonlocal polled
            polled += 1
            raise OSError("the view is slow")

        errors: list[Exception] = []
        async with memory_hub() as (hub, _):
            await hub.subscribe(
                "calls",
                "*",
                print,
                fallback=every(0.02, fetch, when="always"),
                on_error=lambda error, change: errors.append(error),
            )
            await until(lambda: polled >= 3)
            await until(lambda: len(errors) >= 3)
        return polled, len(errors)

    polled, errors = asyncio.run(run())
    assert polled >= errors >= 3


async def test_the_fallback_ends_with_its_listener(hub: RealtimeHub) -> None:
    polled: list[int] = []
    fallback = every(0.01, lambda: polled.append(1), when="always")
    leave = await hub.subscribe("calls", "*", print, fallback=fallback)
    await until(lambda: polled)
    leave()
    await asyncio.sleep(0.02)
    polled.clear()
    await asyncio.sleep(0.05)
    assert polled == []


def test_a_fallback_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        every(0, print)
    with pytest.raises(ValueError, match="'down' or 'always'"):
        every(1, print, when="never")  # type: ignore[arg-type]
