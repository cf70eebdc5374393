"""A hub under everything that can happen to it, against a plain model.

No change missed, none twice, none after unsubscribing or out of order, and channels exactly
those that are needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from realtime_hub import Change, RealtimeHub, State, Subscription, Timing
from realtime_hub.library.filters import Filter, Shape, fulfils
from tests.library.clock import JumpingLoop
from tests.library.lagging import LaggingSource

TIMING = Timing(linger=3, disconnect_grace=1, overlap=0.5, max_retry_delay=2)
LAGS = (0.0, 0.01, 0.1, 0.4)
SHAPE = Shape.of((("id", "int8"), ("state", "text"), ("n", "int8")))
TABLES = ("calls", "notes")
FILTERS = ("id=eq.1", "id=in.(1,2)", "id=eq.3", "state=eq.active", "state=like.a%", "id=neq.2")

events = st.sets(st.sampled_from(["INSERT", "UPDATE", "DELETE"]), min_size=1).map(tuple)
filters = st.none() | st.sampled_from(FILTERS)
columns = st.none() | st.sets(st.sampled_from(["id", "state", "n"])).map(tuple)


@dataclass(eq=False)
class Heard:
    """A listener of the model.

    due: changes that it must get. allowed: those that it may. got: those that it has.
    """

    table: str
    events: tuple[str, ...]
    filter: str | None
    due: list[int] = field(default_factory=list)
    allowed: set[int] = field(default_factory=set)
    got: list[int] = field(default_factory=list)
    served: bool = False
    active: bool = True
    leaves_at: int | None = None
    subscription: Subscription | None = None

    def wants(self, change: Change) -> bool:
        if change.table != self.table or change.event not in self.events:
            return False
        parsed = Filter.parse(self.filter)
        return parsed is None or fulfils(parsed, SHAPE, SHAPE.row(change, range(3)), change)


class Machine(RuleBasedStateMachine):
    listeners = Bundle("listeners")

    def __init__(self) -> None:
        super().__init__()
        self.loop = JumpingLoop()
        self.heard: list[Heard] = []
        self.count = 0
        self.history: list[tuple[float, Change, int]] = []

    @initialize(positions=st.booleans(), selective=st.booleans(), star=st.booleans())
    def start(self, positions: bool, selective: bool, star: bool) -> None:
        self.positions = positions
        self.source = LaggingSource(tables=TABLES, positions=positions, selective=selective)
        self.hub = RealtimeHub(self.source, timing=TIMING, upstream="*" if star else "planned")
        self.watch()

    def watch(self) -> None:
        self.hub.on_gap(lambda gap: self.missed())
        self.hub.on_error(self.failed)

    def failed(self, error: Exception, change: Change | None) -> None:
        raise AssertionError(f"{change}: {error!r}")

    def missed(self) -> None:
        """A gap forgives what is still due, as whoever hears it reads the table again."""
        for heard in self.heard:
            heard.due = [number for number in heard.due if number in heard.got]

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    @rule(lag=st.sampled_from(LAGS))
    def slow_down(self, lag: float) -> None:
        self.source.lag = lag

    @rule(
        target=listeners,
        table=st.sampled_from(TABLES),
        events=events,
        filter=filters,
        columns=columns,
        leaves_at=st.none() | st.integers(1, 3),
        awaited=st.booleans(),
        brings=st.booleans(),
    )
    def come(self, **asked: Any) -> Heard:
        return self.subscribe(**asked)

    def subscribe(
        self,
        table: str,
        events: tuple[str, ...],
        filter: str | None,
        columns: tuple[str, ...] | None,
        leaves_at: int | None,
        awaited: bool,
        brings: bool,
    ) -> Heard:
        heard = Heard(table, events, filter, leaves_at=leaves_at)

        async def subscribe() -> None:
            self.listen(heard, columns, brings)
            if awaited:
                assert heard.subscription is not None
                await heard.subscription
                heard.served = True

        self.run(subscribe())
        return heard

    def listen(self, heard: Heard, columns: tuple[str, ...] | None, brings: bool) -> None:
        def called(change: Change) -> None:
            assert heard.active
            heard.got.append(change.row["n"])
            if brings and len(heard.got) == 1:
                # From the next change on, which may be an older one that is made up for.
                another = Heard(heard.table, heard.events, None)
                self.listen(another, None, False)
                another.allowed = {n for _, c, n in self.history if another.wants(c)}
            if len(heard.got) == heard.leaves_at:
                self.leave(heard)

        # What is under way may still reach a listener that has just come.
        since = self.loop.time() - 2 * max(LAGS)
        heard.allowed = {n for at, change, n in self.history if at >= since and heard.wants(change)}
        self.heard.append(heard)
        heard.subscription = self.hub.subscribe(
            heard.table, heard.events, called, filter=heard.filter, columns=columns
        )

    def leave(self, heard: Heard) -> None:
        """What is on its way is no longer due."""
        assert heard.subscription is not None
        heard.due = [number for number in heard.due if number in heard.got]
        heard.active = False
        heard.subscription()
        heard.subscription()

    @rule(heard=consumes(listeners))
    def unsubscribe(self, heard: Heard) -> None:
        async def leave() -> None:
            self.leave(heard)

        self.run(leave())

    @rule(
        table=st.sampled_from(TABLES),
        event=st.sampled_from(["INSERT", "UPDATE", "DELETE"]),
        id=st.integers(1, 4),
        state=st.sampled_from(["active", "idle", "Active"]),
        times=st.integers(1, 3),
    )
    def happen(self, table: str, event: str, id: int, state: str, times: int) -> None:
        self.change(table, event, id, state, times)

    def change(self, table: str, event: str, id: int, state: str, times: int) -> None:
        async def change() -> None:
            for _ in range(times):
                self.count += 1
                row = {"id": id, "state": state, "n": self.count}
                self.note(table, event, row)
                if event == "DELETE":
                    self.source.delete(table, row)
                elif event == "UPDATE":
                    self.source.update(table, row)
                else:
                    self.source.insert(table, row)

        self.run(change())

    def note(self, table: str, event: str, row: dict[str, Any]) -> None:
        member = "old_record" if event == "DELETE" else "record"
        change = Change({"data": {"table": table, "type": event, member: row}})
        self.history.append((self.loop.time(), change, self.count))
        for heard in self.heard:
            if heard.active and heard.wants(change):
                heard.allowed.add(self.count)
                if heard.served:
                    heard.due.append(self.count)

    @rule(
        table=st.sampled_from(TABLES),
        steps=st.lists(
            st.tuples(
                st.sampled_from(["INSERT", "UPDATE", "DELETE"]),
                filters,
                st.integers(1, 4),
                st.sampled_from([0.0, 0.005, 0.05, 0.3]),
                st.sampled_from(LAGS),
            ),
            min_size=2,
            max_size=8,
        ),
    )
    def bustle(self, table: str, steps: list[tuple[str, str | None, int, float, float]]) -> None:
        """Listeners that need other bindings each come one upon the other, amid changes."""
        for event, filter, id, seconds, lag in steps:
            self.source.lag = lag
            self.subscribe(table, (event,), filter, None, None, True, False)
            for written in ("INSERT", "UPDATE", "DELETE"):
                self.change(table, written, id, "active", 1)
                self.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1, 5]))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(times=st.integers(0, 3))
    def lose(self, times: int) -> None:
        """What happens meanwhile comes later, or is covered by a gap."""

        async def lose() -> None:
            for heard in self.heard:
                # Who comes while the channel is down may get what is made up for.
                if heard.active and not heard.served:
                    heard.allowed |= {n for _, c, n in self.history if heard.wants(c)}
            self.source.disconnect()
            await asyncio.sleep(5 * self.source.lag)

        self.run(lose())
        for table in TABLES:
            self.change(table, "UPDATE", 1, "active", times)
        self.source.reconnect()
        self.settle()

    @rule()
    def settle(self) -> None:
        """After a while everything due has come, and only needed channels are open."""
        self.run(asyncio.sleep(60))
        for heard in self.heard:
            if heard.active:
                assert heard.subscription is not None
                heard.served = True
                assert [n for n in heard.got if n in heard.due] == heard.due, "missed"
        needed = {f"public.{heard.table}" for heard in self.heard if heard.active}
        assert set(self.source.channels) == needed
        assert self.source.open_channels == len(needed)
        assert set(self.hub.statistics().tables) == needed
        for statistics in self.hub.statistics().tables.values():
            assert statistics.state is State.CONNECTED
            assert statistics.channels == 1

    @rule()
    def cleanup(self) -> None:
        async def cleanup() -> None:
            for heard in self.heard:
                heard.due = [number for number in heard.due if number in heard.got]
                heard.active = False
            await self.hub.cleanup()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert self.source.open_channels == 0
            self.watch()

        self.run(cleanup())

    @invariant()
    def nothing_comes_that_should_not(self) -> None:
        for heard in self.heard:
            assert heard.got == sorted(set(heard.got)), "twice, or out of order"
            assert set(heard.got) <= heard.allowed, "not asked for"
        if hasattr(self, "source"):
            assert self.source.most_on_a_table <= 2

    def teardown(self) -> None:
        try:
            if hasattr(self, "hub"):
                self.settle()
        finally:
            if hasattr(self, "hub"):
                self.run(self.hub.cleanup())
            self.loop.close()


QUICK = settings(max_examples=50, stateful_step_count=30, derandomize=True)
LONG = settings(max_examples=1000, stateful_step_count=30)


def test_the_hub_does_as_the_model_does() -> None:
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.slow
def test_the_hub_does_as_the_model_does_however_long_it_is_tried() -> None:
    run_state_machine_as_test(Machine, settings=LONG)
