"""Random lives of a log beside a plain list: batches, epochs, restarts, readings."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_hub.changes import UNCHANGED, UNKNOWN, Change, Kind
from realtime_hub.errors import PositionGoneError
from realtime_hub.hub.ports import Batch
from realtime_hub.log.codec import decode_changes, encode_changes
from realtime_hub.lsn import Position
from tests.log.parts import make_table, open_log, read, synced, values

NAMES = ("llamadas", "pacientes", "citas")
TABLES = {name: make_table(name) for name in NAMES}

columns = st.one_of(st.none(), st.binary(max_size=40), st.sampled_from([UNCHANGED, UNKNOWN]))
rows = st.none() | st.tuples(columns, columns, columns)
steps = st.tuples(
    st.integers(1, 3),  # how far the LSN moves
    st.sampled_from(list(Kind)),
    st.sampled_from(NAMES),
    st.integers(-(2**62), 2**62),
    st.integers(0, 2**32 - 1),
    rows,
    rows,
)
batches = st.lists(steps, max_size=90)
lives = st.lists(
    st.one_of(
        st.tuples(st.just("append"), batches),
        st.tuples(st.just("sync"), st.none()),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("epoch"), st.none()),
        st.tuples(
            st.just("read"), st.tuples(st.integers(0, 10**6), st.sets(st.sampled_from(NAMES)))
        ),
    ),
    max_size=12,
)


def to_changes(batch, epoch: int, lsn: int) -> list[Change]:
    changes = []
    for step, kind, name, *rest in batch:
        lsn += step
        ordinal = len(changes) % 3
        changes.append(Change(Position(epoch, 3 * lsn, ordinal), kind, TABLES[name], *rest))
    return changes


class Life:
    """A log and the list that it is compared with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: list[Change] = []
        self.lsn = 0

    async def live(self, life) -> None:
        self.log = await open_log(self.path)
        for what, how in life:
            await getattr(self, what)(how)
        await self.read((0, set(NAMES)))
        await self.restart(None)
        await self.read((0, set(NAMES)))
        await self.log.aclose()

    async def append(self, batch) -> None:
        changes = to_changes(batch, self.log.epoch, self.lsn)
        self.lsn += sum(step for step, *_ in batch) + 1
        self.log.append(Batch(changes, confirmable=3 * self.lsn))
        self.kept += changes

    async def sync(self, _) -> None:
        await synced(self.log, 3 * self.lsn)
        assert self.log.durable == self.log.head

    async def restart(self, _) -> None:
        epoch, head = self.log.epoch, self.log.head
        await self.log.aclose()
        self.log = await open_log(self.path)
        assert (self.log.epoch, self.log.head) == (epoch, head)
        assert self.log.durable == head
        assert self.log.durable_lsn == 3 * self.lsn

    async def epoch(self, _) -> None:
        old = self.log.floor
        self.log.begin_epoch()
        self.kept, self.lsn = [], 0
        with pytest.raises(PositionGoneError):
            await read(self.log, old)

    async def read(self, how) -> None:
        start, names = how
        index = start % (len(self.kept) + 1)
        after = self.kept[index - 1].position if index else self.log.floor
        wanted = {TABLES[name].full_name for name in names}
        got = await read(self.log, after, wanted)
        assert values(got) == values(
            change for change in self.kept[index:] if change.table.full_name in wanted
        )


@settings(max_examples=40)
@given(lives)
def test_a_log_reads_as_the_list_of_what_was_appended(life):
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(Life(Path(place) / "log").live(life))


@given(batches)
def test_changes_come_back_from_bytes_as_they_were(batch):
    changes = to_changes(batch, 5, 0)
    numbers = {table: number for number, table in enumerate(TABLES.values())}
    body = encode_changes(changes, numbers.__getitem__)
    tables = {number: table for table, number in numbers.items()}
    assert decode_changes(body, 5, tables) == changes
