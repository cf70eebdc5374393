"""The pipeline and the log over a restart: what the slot repeats is neither kept nor sent twice."""

from realtime_hub.hub.dispatch import Dispatcher
from realtime_hub.hub.ports import Batch
from realtime_hub.hub.registry import Registry
from realtime_hub.node.pipeline import Pipeline
from tests.hub.parts import Recorder, SetAuthorizer, SetOracle, binding, make_table
from tests.log.parts import insert, open_log, read, synced
from tests.node.test_pipeline import ListSource


async def run(log, batches) -> tuple[list[int], ListSource]:
    """Run a pipeline to the end of the batches; return the LSNs that a subscriber got."""
    registry, subscriber, authorizer = Registry(), Recorder(), SetAuthorizer()
    registry.add(subscriber, (binding(1),))
    source = ListSource(batches)
    await Pipeline(source, log, authorizer, Dispatcher(registry, authorizer, SetOracle())).run()
    return [delivery.change.position.lsn for delivery in subscriber.deliveries], source


async def test_what_the_slot_repeats_after_a_restart_is_neither_kept_nor_delivered_again(tmp_path):
    log = await open_log(tmp_path / "log")
    changes = [insert(make_table(), log.epoch, lsn) for lsn in range(1, 100)]
    delivered, _ = await run(log, [Batch(changes[:60], 61)])
    await synced(log, 61)
    await log.aclose()

    log = await open_log(tmp_path / "log")
    delivered_later, source = await run(log, [Batch(changes[40:80], 81), Batch(changes[80:], 101)])
    await synced(log, 101)
    assert delivered + delivered_later == list(range(1, 100))
    assert [c.position for c in await read(log, log.floor)] == [c.position for c in changes]
    assert source.confirmed[0] >= 61  # at once, whatever the slot had heard of before
    await log.aclose()
