"""Clients that resume, under whatever order of commits and faults, against the table itself.

Who keeps a cursor gets every row once and in order, who has a resume name every row at least
once; where a row is missing, a gap stands in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.faults.ledger import Follower, Ledger, check
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")
SMALL_LOG = {"REALTIME_HUB_LOG_MAX_BYTES": str(1 << 20)}
MANY = {"count": 30, "size": 100_000}
"""More than the log keeps."""

followers = st.integers(0, 3)
endings = st.sampled_from(["kill", "stop"])


class Machine(RuleBasedStateMachine):
    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.dsn = self.server.new_database()
        self.ledger = Ledger(self.server, self.dsn)
        self.gateway = Gateway(self.dsn, environment=SMALL_LOG)
        self.followers: list[Follower] = []

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            await asyncio.to_thread(self.gateway.start)
            names = (None, None, "machine-one", "machine-two")
            self.followers = [Follower(self.gateway, ANON, resume=name) for name in names]
            for follower in self.followers:
                await follower.until(lambda follower=follower: follower.joined)
            await self.write(1)
            await self.all_have_the_last()

        self.run(begin())

    @rule(count=st.integers(1, 30), each=st.integers(1, 4))
    def commit(self, count: int, each: int) -> None:
        self.run(self.write(count, each=each))

    @rule()
    def let_retention_pass(self) -> None:
        self.run(self.write(**MANY))

    @rule(number=followers)
    def leave(self, number: int) -> None:
        self.run(self.followers[number].stop())

    @rule(number=followers, count=st.integers(0, 10))
    def come_back(self, number: int, count: int) -> None:
        """Also while rows are written."""

        async def come_back() -> None:
            if not self.followers[number].here:
                self.followers[number].go_on()
            await self.write(count)

        self.run(come_back())

    @rule(ending=endings, before=st.integers(0, 60), down=st.integers(0, 20), much=st.booleans())
    def restart_the_gateway(self, ending: str, before: int, down: int, much: bool) -> None:
        async def restart() -> None:
            writing = asyncio.create_task(self.write(before))
            await asyncio.to_thread(getattr(self.gateway, ending))
            await writing
            await self.write(down)
            if much:
                await self.write(**MANY)
            await asyncio.to_thread(self.gateway.start)

        self.run(restart())

    @rule(mode=st.sampled_from(["fast", "immediate"]), down=st.booleans())
    def restart_postgres(self, mode: str, down: bool) -> None:
        """Perhaps while the gateway is away."""

        async def restart() -> None:
            if down:
                await asyncio.to_thread(self.gateway.kill)
            writing = asyncio.create_task(self.write(2_000))
            await asyncio.to_thread(self.server.restart, mode)
            await writing
            if down:
                await asyncio.to_thread(self.gateway.start)

        self.run(restart())

    @rule()
    def lose_the_slot(self) -> None:
        async def lose() -> None:
            await asyncio.to_thread(self.gateway.stop)
            slot = f"hub_{self.gateway.port}"
            self.server.execute(self.dsn, f"select pg_drop_replication_slot('{slot}')")
            await self.write(2)
            await asyncio.to_thread(self.gateway.start)

        self.run(lose())

    @rule()
    def settle(self) -> None:
        """Everybody comes back, and gets the last row."""

        async def settle() -> None:
            for follower in self.followers:
                if not follower.here:
                    follower.go_on()
            await self.all_have_the_last()

        self.run(settle())
        there = self.ledger.there()
        for follower in self.followers:
            check(follower, there)

    def miss_something(self) -> None:
        """So that every run ends with something to resume."""

        async def miss() -> None:
            for follower in self.followers:
                await follower.stop()
            await self.write(40)

        self.run(miss())

    async def write(self, count: int, **more: int) -> None:
        """Write until it is done, or until the server refuses: the table tells what it has."""

        def write() -> None:
            try:
                self.ledger.write(count, **more)
            except psycopg.OperationalError:
                return

        await asyncio.to_thread(write)

    async def all_have_the_last(self) -> None:
        """Written anew until nobody has a gap in its place."""
        async with asyncio.timeout(180):
            while True:
                await self.write(1)
                last = self.ledger.there()[-1]
                with suppress(TimeoutError):
                    for follower in self.followers:
                        await follower.until(lambda f=follower, n=last: n in f.numbers, 15.0)
                    return

    def teardown(self) -> None:
        try:
            if self.followers:
                self.miss_something()
                self.settle()
        finally:
            for follower in self.followers:
                self.run(follower.stop())
            self.gateway.close()
            self.server.drop_database(self.dsn)
            self.loop.close()


COMMON = settings(
    phases=[Phase.explicit, Phase.generate],  # a run is too long to be shrunk
    suppress_health_check=list(HealthCheck),
)
QUICK = settings(COMMON, max_examples=2, stateful_step_count=6, derandomize=True, database=None)
LONG = settings(COMMON, max_examples=12, stateful_step_count=15, print_blob=True)


def machine(server: Server) -> type[Machine]:
    return type("Machine", (Machine,), {"server": server})


def test_nothing_is_lost_or_repeated_unsaid(postgres: Server) -> None:
    run_state_machine_as_test(machine(postgres), settings=QUICK)


@pytest.mark.faults
def test_nothing_is_lost_or_repeated_unsaid_however_long_it_is_tried(postgres: Server) -> None:
    run_state_machine_as_test(machine(postgres), settings=LONG)
