from realtime_hub.hub.ports import Batch
from realtime_hub.log.memory import MemoryChangeLog
from realtime_hub.lsn import Position
from realtime_hub.node.recent import Recent
from tests.hub.parts import insert, make_table

TABLE = make_table()
TOP = (1 << 32) - 1


class Stream:
    """As the pipeline does: what is kept is noted. Each transaction has two changes."""

    def __init__(self, *, horizon: int = 0, size: int = 100, limit: int = 10_000) -> None:
        self.log = MemoryChangeLog(limit=limit)
        self.horizon, self.size = horizon, size
        self.recent = Recent(self.log, horizon=horizon, size=size)
        self.lsn = 0
        self.readings = 0
        self._read = self.log.read
        self.log.read = self.read

    def read(self, after, tables):
        self.readings += 1
        return self._read(after, tables)

    def commit(self, *xids: int) -> None:
        for xid in xids:
            self.lsn += 10
            changes = [
                insert(TABLE, 1, 1, "a", lsn=self.lsn, index=index)._replace(
                    xid=xid, position=Position(self.log.epoch, self.lsn, index)
                )
                for index in range(2)
            ]
            self.log.append(Batch(changes))
            self.recent.note(changes)

    def restart(self, horizon: int) -> None:
        self.recent = Recent(self.log, horizon=horizon, size=self.size)


async def test_what_is_not_in_the_stream_has_no_place():
    stream = Stream()
    stream.commit(5, 6)
    assert await stream.recent.before({7, 9}) is None
    assert stream.readings == 0


async def test_the_place_is_before_the_first_of_the_transactions():
    stream = Stream()
    stream.commit(5, 7, 6)
    assert await stream.recent.before({6, 7, 8}) == Position(0, 19, 0)


async def test_what_was_kept_before_a_restart_is_found_in_the_log_once():
    stream = Stream()
    stream.commit(5, 6)
    stream.restart(horizon=8)
    stream.commit(9)
    for _ in range(3):
        assert await stream.recent.before({6, 8}) == Position(0, 19, 0)
    assert stream.readings == 1
    assert await stream.recent.before({8, 10}) is None
    assert stream.readings == 1


async def test_what_many_newer_ones_have_displaced_is_found_in_the_log():
    stream = Stream(size=3)
    stream.commit(5, *range(10, 20))
    assert await stream.recent.before({5}) == Position(0, 9, 0)
    assert await stream.recent.before({19}) == Position(0, 109, 0)
    assert stream.readings == 1


async def test_a_transaction_that_was_sought_in_vain_is_sought_again_once_displaced():
    stream = Stream(size=3, horizon=5)
    assert await stream.recent.before({4}) is None
    stream.commit(4, 10, 11)
    assert await stream.recent.before({4}) == Position(0, 9, 0)
    stream.commit(12, 13)
    assert await stream.recent.before({4}) == Position(0, 9, 0)


async def test_ids_are_counted_in_a_circle():
    stream = Stream(horizon=TOP - 1)
    stream.commit(TOP, 3)
    assert await stream.recent.before({3}) == Position(0, 19, 0)
    assert await stream.recent.before({4}) is None
    assert stream.readings == 0
    assert await stream.recent.before({TOP - 2}) is None
    assert stream.readings == 1


async def test_places_of_an_epoch_that_has_ended_do_not_count():
    stream = Stream()
    stream.commit(5, 6)
    stream.log.begin_epoch()
    assert await stream.recent.before({5}) is None
    stream.commit(6)
    assert await stream.recent.before({5, 6}) == Position(1, 29, 0)
