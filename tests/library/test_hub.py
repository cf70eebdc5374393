"""The hub's own rules, on a memory source."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

import realtime_hub
from realtime_hub import Change, Gap, RealtimeHub, State, Status, Timing, get_hub
from realtime_hub.errors import (
    FilterSyntaxError,
    HubMisusedError,
    HubNameError,
    SettingsError,
    SubscriptionError,
    TableNotPublishedError,
)
from realtime_hub.library.upstreams.memory import MemorySource
from realtime_hub.testing import IMMEDIATE, memory_hub
from tests.library import clock
from tests.library.worlds import QUICK
from tests.support.waiting import until


async def test_many_listeners_of_a_table_are_one_channel(
    hub: RealtimeHub, source: MemorySource
) -> None:
    got: list[Change] = []
    for _ in range(5):
        await hub.subscribe("calls", "INSERT", got.append)
    source.insert("calls", {"id": 1})
    assert len(got) == 5
    assert source.open_channels == 1
    assert hub.statistics().tables["public.calls"].listeners == {"INSERT": 5}


async def test_a_listener_may_leave_while_it_is_called(
    hub: RealtimeHub, source: MemorySource
) -> None:
    got: list[str] = []

    def first(change: Change) -> None:
        got.append("first")
        leave_first()
        leave_second()

    leave_first = await hub.subscribe("calls", "INSERT", first)
    leave_second = await hub.subscribe("calls", "INSERT", lambda change: got.append("second"))
    source.insert("calls", {"id": 1})
    source.insert("calls", {"id": 2})
    assert got == ["first"]
    assert not leave_first.active


async def test_the_channel_outlives_a_page_change_and_goes_after_the_grace_period(
    hub: RealtimeHub, source: MemorySource
) -> None:
    leave = await hub.subscribe("calls", "INSERT", print)
    leave()
    await asyncio.sleep(QUICK.linger / 4)
    assert source.open_channels == 1
    await hub.subscribe("calls", "INSERT", print)
    assert hub.statistics().tables["public.calls"].opened == 1
    hub_leave = await hub.subscribe("notes", "INSERT", print)
    hub_leave()
    await until(lambda: "public.notes" not in source.channels)
    assert hub.statistics().tables.keys() == {"public.calls"}


async def test_bindings_grow_with_what_is_needed_and_shrink_once_it_is_calm(
    hub: RealtimeHub, source: MemorySource
) -> None:
    await hub.subscribe("calls", "INSERT", print)
    leave = await hub.subscribe("calls", "UPDATE", print)
    assert [str(b) for b in source.channels["public.calls"]] == ["INSERT", "UPDATE"]
    leave()
    await until(lambda: [str(b) for b in source.channels["public.calls"]] == ["INSERT"])
    await until(lambda: source.open_channels == 1)


async def test_star_asks_for_everything_at_once_and_never_changes() -> None:
    async with memory_hub(upstream="*") as (hub, source):
        for event in ("INSERT", "UPDATE", "DELETE"):
            await hub.subscribe("calls", event, print, filter="id=eq.1")
        assert [str(b) for b in source.channels["public.calls"]] == ["*"]
        assert hub.statistics().tables["public.calls"].opened == 1


def test_filters_that_come_and_go_quickly_are_left_out_until_it_is_calm() -> None:
    async def run() -> None:
        async with memory_hub() as (hub, source):
            got: list[Change] = []
            leave = await hub.subscribe("calls", "UPDATE", got.append, filter="id=eq.0")
            for number in range(12):
                leave()
                leave = await hub.subscribe("calls", "UPDATE", got.append, filter=f"id=eq.{number}")
                source.update("calls", {"id": number})
            assert len(got) == 12
            assert hub.statistics().tables["public.calls"].opened < 10
            assert [str(b) for b in source.channels["public.calls"]] == ["UPDATE"]
            await asyncio.sleep(60)
            assert [str(b) for b in source.channels["public.calls"]] == ["UPDATE id=eq.11"]

    clock.run(run())


async def test_a_refusal_that_nobody_awaits_is_told_at_once() -> None:
    async with memory_hub(tables=["calls"]) as (hub, _):
        errors: list[Exception] = []
        hub.on_error(lambda error, change: errors.append(error))
        subscription = hub.subscribe("elsewhere", "INSERT", print)
        await until(lambda: errors)
        assert isinstance(errors[0], TableNotPublishedError)
        assert not subscription.active


async def test_a_loss_is_told_after_the_grace_period_and_with_its_end(
    source: MemorySource,
) -> None:
    timing = Timing(linger=0, disconnect_grace=0.05, overlap=0, max_retry_delay=0.2)
    async with RealtimeHub(source, timing=timing) as hub:
        told: list[Status] = []
        hub.on_status(told.append)
        await hub.subscribe("calls", "INSERT", print)
        source.disconnect()
        assert hub.is_connected("calls")
        await until(lambda: not hub.is_connected("calls"))
        source.reconnect()
        await until(lambda: hub.is_connected("calls"))
        states = [status.state for status in told]
        assert states == [State.CONNECTED, State.DISCONNECTED, State.CONNECTED]
        assert told[1].error is not None


async def test_a_short_loss_is_not_told(source: MemorySource) -> None:
    async with RealtimeHub(source, timing=Timing(disconnect_grace=60, max_retry_delay=0)) as hub:
        told: list[Status] = []
        hub.on_status(told.append)
        await hub.subscribe("calls", "INSERT", print)
        source.lose()
        await until(lambda: hub.statistics().tables["public.calls"].reconnects == 1)
        assert [status.state for status in told] == [State.CONNECTED]


async def test_what_was_missed_comes_later_where_the_upstream_can() -> None:
    async with memory_hub() as (hub, source):
        got: list[int] = []
        gaps: list[Gap] = []
        hub.on_gap(gaps.append)
        await hub.subscribe("calls", "INSERT", lambda change: got.append(change.new["id"]))
        source.insert("calls", {"id": 1})
        source.disconnect()
        source.insert("calls", {"id": 2})
        source.reconnect()
        await until(lambda: got == [1, 2])
        assert gaps == []


async def test_what_was_missed_is_said_where_the_upstream_can_not() -> None:
    source = MemorySource(positions=False)
    async with RealtimeHub(source, timing=IMMEDIATE) as hub:
        gaps: list[Gap] = []
        mine: list[Gap] = []
        hub.on_gap(gaps.append)
        await hub.subscribe("calls", "INSERT", print, on_gap=mine.append)
        source.disconnect()
        source.insert("calls", {"id": 2})
        source.reconnect()
        await until(lambda: gaps)
        assert gaps == mine
        assert gaps[0].reason == "reconnected"
        assert gaps[0].table == ("public", "calls")


async def test_cleanup_leaves_nothing_and_the_hub_works_again(
    hub: RealtimeHub, source: MemorySource
) -> None:
    before = asyncio.all_tasks()
    told: list[object] = []
    hub.on_status(told.append)
    hub.on_gap(told.append)

    async def slow(change: Change) -> None:
        await asyncio.sleep(60)

    subscription = await hub.subscribe("calls", "*", slow)
    stream = hub.stream("notes")
    source.insert("calls", {"id": 1})
    await asyncio.sleep(0)
    await hub.cleanup()
    assert asyncio.all_tasks() == before
    assert source.open_channels == 0
    assert hub.statistics().tables == {}
    assert not subscription.active
    assert [change async for change in stream] == []
    told.clear()
    got: list[Change] = []
    await hub.subscribe("calls", "INSERT", got.append)
    source.gap("calls")
    source.insert("calls", {"id": 2})
    assert len(got) == 1
    assert told == []


async def test_a_callback_may_clean_up(hub: RealtimeHub, source: MemorySource) -> None:
    cleaned = asyncio.Event()

    async def logout(change: Change) -> None:
        await hub.cleanup()
        cleaned.set()

    await hub.subscribe("sessions", "DELETE", logout)
    source.delete("sessions", {"id": 1})
    await cleaned.wait()
    assert source.open_channels == 0


async def test_leaving_a_loop_over_a_stream_unsubscribes(
    hub: RealtimeHub, source: MemorySource
) -> None:
    stream = hub.stream("calls", "INSERT")
    async with stream:
        source.insert("calls", {"id": 1})
        async for change in stream:
            assert change.new == {"id": 1}
            break
    await until(lambda: not source.channels)
    async for _ in _one_then_more(hub, source):
        break
    gc.collect()
    await until(lambda: not source.channels)


def _one_then_more(hub: RealtimeHub, source: MemorySource) -> realtime_hub.ChangeStream:
    stream = hub.stream("calls", "INSERT")
    loop = asyncio.get_running_loop()
    for number in range(3):
        loop.call_later(0.05, source.insert, "calls", {"id": number})
    return stream


async def test_a_stream_raises_what_the_table_is_refused_with() -> None:
    async with memory_hub(tables=["calls"]) as (hub, _):
        with pytest.raises(TableNotPublishedError):
            await anext(hub.stream("elsewhere"))


async def test_hubs_have_names_and_stand_together_in_the_statistics() -> None:
    async with (
        memory_hub(name="main") as (main, main_source),
        memory_hub(name="system-ui") as (system_ui, _),
    ):
        assert get_hub("main") is main
        assert get_hub("system-ui") is system_ui
        await get_hub().subscribe("calls", "INSERT", print)
        statistics = realtime_hub.statistics()
        assert {name: figures.channels for name, figures in statistics.items()} == {
            "main": 1,
            "system-ui": 0,
        }
        assert main_source.open_channels == 1
        with pytest.raises(HubNameError, match="already"):
            RealtimeHub(MemorySource(), name="main")
    with pytest.raises(HubNameError, match=r"known: none.*name='main'"):
        get_hub("main")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calls", "INSRT"), "unknown event 'INSRT'; events are INSERT, UPDATE, DELETE, TRUNCATE"),
        (("calls", ()), "no event was named"),
        (("", "INSERT"), "names no table"),
        (("calls.", "INSERT"), "names no table"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused_in_clear_words(
    hub: RealtimeHub, arguments: tuple[str, str], said: str
) -> None:
    with pytest.raises(SubscriptionError, match=said):
        hub.subscribe(*arguments, print)


async def test_options_that_make_no_sense_are_refused_in_clear_words(hub: RealtimeHub) -> None:
    async def callback(change: Change) -> None: ...

    with pytest.raises(SubscriptionError, match=r"columns=\['id'\]"):
        hub.subscribe("calls", "*", print, columns="id")
    with pytest.raises(FilterSyntaxError, match="without ="):
        hub.subscribe("calls", "*", print, filter="id")
    with pytest.raises(HubMisusedError, match="can't be called"):
        hub.subscribe("calls", "*", 5)  # type: ignore[arg-type]
    for options, said in (
        ({"debounce": 1, "throttle": 1}, "exclude each other"),
        ({"debounce": 0}, "more than 0"),
        ({"max_queue": 0}, "at least 1"),
        ({"overflow": "coalesce"}, "needs coalesce="),
        ({"overflow": "explode"}, "explode"),
    ):
        with pytest.raises(ValueError, match=said):
            hub.subscribe("calls", "*", print, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="coroutine function"):
        hub.subscribe("calls", "*", callback, executor=True)
    assert hub.statistics().tables == {}


def test_without_an_event_loop_the_remedy_is_named() -> None:
    hub = RealtimeHub(MemorySource())
    with pytest.raises(HubMisusedError, match=r"RealtimeHub\.sync"):
        hub.subscribe("calls", "INSERT", print)


async def test_another_thread_is_turned_away(hub: RealtimeHub) -> None:
    unsubscribe = await hub.subscribe("calls", "INSERT", print)
    errors: list[Exception] = []

    def elsewhere() -> None:
        try:
            unsubscribe()
        except HubMisusedError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "another event loop, or thread" in str(errors[0])
    assert unsubscribe.active


def test_after_cleanup_a_hub_can_be_used_on_another_event_loop() -> None:
    source = MemorySource()
    hub = RealtimeHub(source, timing=QUICK)

    async def use() -> int:
        got: list[Change] = []
        await hub.subscribe("calls", "INSERT", got.append)
        source.insert("calls", {"id": 1})
        await hub.cleanup()
        return len(got)

    assert [asyncio.run(use()) for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("mysql://u:secret@h/d", {}, "begins with one of postgresql://"),
        ("nonsense secret", {}, "begins with one of"),
        ("postgresql://u:secret@h/d", {"token": "t"}, "for Realtime servers"),
        ("postgresql://u:secret@h/d", {"slot": "No Good"}, "can't name a replication slot"),
        ("postgresql://u:secret@h/d?secret=1", {}, "not a PostgreSQL connection string"),
        ("wss://h/realtime/v1", {"slot": "s"}, "slot is for databases"),
    ],
)
def test_urls_and_options_that_do_not_fit_are_refused_without_their_secrets(
    url: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        RealtimeHub.from_url(url, **options)  # type: ignore[arg-type]
    assert "secret" not in str(raised.value)


def test_no_secret_shows_in_a_hubs_text() -> None:
    for hub in (
        RealtimeHub.from_url("postgresql://u:secret@127.0.0.1/d"),
        RealtimeHub.from_url("wss://h", api_key="secret", token="secret"),
    ):
        assert "secret" not in repr(hub) + repr(hub.statistics())


def test_from_client_says_what_it_needs() -> None:
    with pytest.raises(HubMisusedError, match="acreate_client"):
        RealtimeHub.from_client(object())
