"""The hub without asyncio: for scripts and threads."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from realtime_hub import Change, RealtimeHub
from realtime_hub.errors import HubMisusedError, TableNotPublishedError
from realtime_hub.library.sync import SyncRealtimeHub
from realtime_hub.library.upstreams.memory import MemorySource
from tests.library.worlds import QUICK, prepare


def insert(dsn: str, *ids: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for number in ids:
            conn.execute("insert into calls values (%s, 'new', '')", (number,))


def test_a_script_listens_and_leaves_nothing_behind(database: str) -> None:
    prepare(database)
    threads = set(threading.enumerate())
    got: list[int] = []
    arrived = threading.Event()

    def callback(change: Change) -> None:
        got.append(change.new["id"])
        arrived.set()

    with RealtimeHub.sync(database, timing=QUICK) as hub:
        unsubscribe = hub.subscribe("calls", "INSERT", callback)
        assert hub.is_connected("calls")
        insert(database, 1)
        assert arrived.wait(30)
        unsubscribe()
        unsubscribe()
        for number, change in enumerate(stream_of(hub, database), start=10):
            assert change.new["id"] == number
            if number == 12:
                break
        assert hub.statistics().upstream == "postgres"
        with pytest.raises(TableNotPublishedError):
            hub.subscribe("elsewhere", "INSERT", print)
    assert got == [1]
    assert {t for t in set(threading.enumerate()) - threads if "realtime" in t.name} == set()


def stream_of(hub: SyncRealtimeHub, dsn: str) -> object:
    changes = hub.stream("calls", "INSERT")
    insert(dsn, 10, 11, 12, 13)
    return changes


def test_a_stream_ends_with_the_block() -> None:
    source = MemorySource()
    hub = SyncRealtimeHub(lambda: RealtimeHub(source, timing=QUICK))
    ended: list[bool] = []

    def read() -> None:
        ended.extend(True for _ in changes)
        ended.append(True)

    with hub:
        changes = hub.stream("calls")
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.05)
    thread.join(10)
    assert ended == [True]


def test_outside_its_block_it_says_how_it_is_used() -> None:
    hub = SyncRealtimeHub(lambda: RealtimeHub(MemorySource()))
    with pytest.raises(HubMisusedError, match="context manager"):
        hub.is_connected("calls")
    with hub, pytest.raises(HubMisusedError, match="already"):
        hub.__enter__()
