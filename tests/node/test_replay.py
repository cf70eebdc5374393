import asyncio
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.listeners import Gap
from realtime_hub.hub.ports import Batch
from realtime_hub.hub.registry import Registry
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.lsn import Position
from realtime_hub.node.replay import Replayer
from tests.hub.parts import Recorder, SetAuthorizer, SetOracle, binding, insert, make_table

TABLE, OTHER = make_table(), make_table("citas")


class Parts:
    def __init__(self, *, limit: int = 10_000) -> None:
        self.log = MemoryChangeLog(limit=limit)
        self.live = Registry()
        self.authorizer = SetAuthorizer()
        self.dispatcher = Dispatcher(self.live, self.authorizer, SetOracle())
        self.replayer = Replayer(self.log, self.authorizer, self.live, self.dispatcher)
        self.lsn = 0

    def write(self, count: int = 1, table=TABLE) -> None:
        """As the pipeline does: kept and dispatched in one turn."""
        for _ in range(count):
            self.lsn += 1
            change = insert(table, self.lsn, 1, "a", lsn=self.lsn)
            self.log.append(Batch([change]))
            self.dispatcher.dispatch(change)

    async def caught_up(self) -> None:
        await until(lambda: not len(self.replayer))


async def until(fact) -> None:
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 - in as few turns of the loop as there are
            await asyncio.sleep(0)


@asynccontextmanager
async def replaying(**options):
    parts = Parts(**options)
    running = asyncio.create_task(parts.replayer.run())
    try:
        yield parts
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def at(lsn: int) -> Position:
    return Position(0, lsn, 0)


def lsns(subscriber: Recorder) -> list[int]:
    return [delivery.change.position.lsn for delivery in subscriber.deliveries]


async def test_what_came_after_the_start_is_given_and_then_what_is_new():
    async with replaying() as parts:
        parts.write(5)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(2)})
        parts.write(2)
        await parts.caught_up()
        parts.write(1)
        assert lsns(subscriber) == [3, 4, 5, 6, 7, 8]
        assert [delivery.replayed for delivery in subscriber.deliveries] == [True] * 5 + [False]


async def test_who_missed_nothing_is_live_at_once():
    async with replaying() as parts:
        parts.write(3)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(3)})
        assert subscriber in parts.live
        parts.write(1)
        assert lsns(subscriber) == [4]


async def test_each_binding_goes_on_from_its_own_start():
    async with replaying() as parts:
        parts.write(2)
        parts.write(2, OTHER)
        parts.write(1)
        parts.write(1, OTHER)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(1), binding(2, "citas"): at(4)})
        await parts.caught_up()
        parts.write(1, OTHER)
        assert [
            (ids, lsn) for (ids, _), lsn in zip(subscriber.got, lsns(subscriber), strict=True)
        ] == [
            ((1,), 2),
            ((1,), 5),
            ((2,), 6),
            ((2,), 7),
        ]


async def test_a_start_ahead_of_the_log_waits_until_the_stream_has_come_there():
    async with replaying() as parts:
        parts.write(2)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(4)})
        for _ in range(3):
            await asyncio.sleep(0.03)
            parts.write(1)
        await parts.caught_up()
        parts.write(1)
        assert lsns(subscriber) == [5, 6]


async def test_a_start_that_is_not_kept_any_more_is_a_gap_and_then_live():
    async with replaying(limit=3) as parts:
        parts.write(10)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(2)})
        parts.write(1)
        assert subscriber.got[0] == Gap(
            "RetentionPassed", "changes are not kept for so long", since=at(2), until=at(10)
        )
        assert lsns(subscriber) == [11]
        assert parts.replayer.statistics.gaps == 1


async def test_a_start_of_another_epoch_is_a_gap():
    async with replaying() as parts:
        parts.write(1)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): Position(7, 1, 0)})
        assert [gap.reason for gap in subscriber.got] == ["EpochEnded"]


async def test_an_epoch_that_ends_during_a_replay_is_a_gap():
    async with replaying() as parts:
        parts.write(1000)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(0)})
        await until(lambda: subscriber.got)
        subscriber.congested = True
        await asyncio.sleep(0.05)
        parts.log.begin_epoch()
        subscriber.congested = False
        await parts.caught_up()
        assert [g.reason for g in subscriber.got if isinstance(g, Gap)] == ["EpochEnded"]
        given = lsns(subscriber)
        assert given == list(range(1, len(given) + 1))


async def test_damage_met_on_the_way_is_a_gap_from_there_on(monkeypatch):
    async with replaying() as parts:
        parts.write(300)
        whole = parts.log.read
        damaged = True

        async def read(after, tables):
            async for change in whole(after, tables):
                if damaged and change.position.lsn == 150:
                    raise PositionGoneError("corrupt")
                yield change

        monkeypatch.setattr(parts.log, "read", read)
        before, behind = Recorder(), Recorder()
        parts.replayer.add(before, {binding(1): at(0)})
        parts.replayer.add(behind, {binding(2): at(200)})
        await parts.caught_up()
        parts.write(1)
        assert lsns(before) == [*range(1, 150), 301]
        assert [(g.reason, g.since) for g in before.got if isinstance(g, Gap)] == [
            ("LogDamaged", at(149))
        ]
        assert lsns(behind) == list(range(201, 302))


async def test_a_slow_reader_holds_up_nobody_and_misses_nothing():
    async with replaying() as parts:
        parts.write(2000)
        slow, quick = Recorder(), Recorder()
        slow.on_deliver = lambda: setattr(slow, "congested", len(slow.got) % 100 == 0)
        parts.replayer.add(slow, {binding(1): at(0)})
        parts.replayer.add(quick, {binding(1): at(0)})
        await until(lambda: quick in parts.live)
        assert slow not in parts.live

        def slow_is_live() -> bool:
            slow.congested = False
            return slow in parts.live

        await until(slow_is_live)
        assert lsns(quick) == lsns(slow) == list(range(1, 2001))


async def test_rights_are_read_before_rows_are_replayed():
    async with replaying() as parts:
        parts.write(1)
        parts.replayer.add(Recorder(), {binding(1): at(0)})
        await parts.caught_up()
        assert parts.authorizer.prepared == [TABLE]


async def test_many_who_come_together_share_the_reading():
    async with replaying() as parts:
        parts.write(500)
        subscribers = [Recorder() for _ in range(50)]
        for number, subscriber in enumerate(subscribers):
            parts.replayer.add(subscriber, {binding(1): at(number)})
        await parts.caught_up()
        assert parts.replayer.statistics.passes == 1
        assert parts.replayer.statistics.changes == 500
        for number, subscriber in enumerate(subscribers):
            assert lsns(subscriber) == list(range(number + 1, 501))


async def test_who_withdraws_is_told_where_each_binding_would_have_gone_on():
    async with replaying() as parts:
        parts.write(1000)
        subscriber = Recorder()
        parts.replayer.add(subscriber, {binding(1): at(0), binding(2, "citas"): at(990)})
        await until(lambda: len(subscriber.got) >= 10)
        places = parts.replayer.withdraw(subscriber)
        assert places == {1: at(lsns(subscriber)[-1]), 2: at(990)}
        given = len(subscriber.got)
        await asyncio.sleep(0.05)
        assert len(subscriber.got) == given
        assert parts.replayer.withdraw(subscriber) is None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 90)),
        st.tuples(st.just("join"), st.integers(0, 300)),
        st.tuples(st.just("turns"), st.integers(1, 20)),
        st.tuples(st.just("stall"), st.integers(0, 3)),
        st.tuples(st.just("leave_and_return"), st.integers(0, 3)),
    ),
    max_size=30,
)


class Mixture:
    """Joins, writes and stalls, and what each subscriber must have in the end."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.joined: list[tuple[int, Recorder]] = []

    async def write(self, count: int) -> None:
        self.parts.write(count)

    async def join(self, start: int) -> None:
        start, subscriber = min(start, self.parts.lsn), Recorder()
        self.joined.append((start, subscriber))
        self.parts.replayer.add(subscriber, {binding(1): at(start)})

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def stall(self, number: int) -> None:
        for _, subscriber in self.joined[number : number + 1]:
            subscriber.congested = not subscriber.congested

    async def leave_and_return(self, number: int) -> None:
        for _, subscriber in self.joined[number : number + 1]:
            places = self.parts.replayer.withdraw(subscriber)
            if places is not None:
                self.parts.replayer.add(subscriber, {binding(1): places[1]})

    async def check(self) -> None:
        for _, subscriber in self.joined:
            subscriber.congested = False
        await self.parts.caught_up()
        self.parts.write(1)
        for start, subscriber in self.joined:
            assert lsns(subscriber) == list(range(start + 1, self.parts.lsn + 1))


@settings(max_examples=60)
@given(steps)
def test_nobody_misses_or_repeats_a_change_however_joins_and_writes_are_mixed(plan):
    async def run() -> None:
        async with replaying() as parts:
            mixture = Mixture(parts)
            for step, value in plan:
                await getattr(mixture, step)(value)
            await mixture.check()

    asyncio.run(run())
