"""slim, killed between any two of its steps: the state before or after, and a way back."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from realtime_hub.ops import slim
from realtime_hub.ops.slim import Manifest, Standing
from tests.ops import killing
from tests.ops.test_slim import catalog, execute

SCHEMA = """
create table a (id int primary key, v text); create table b (id int primary key, v text);
create table c (id int primary key, v text);
create publication p for table only a (id) where (id > 3), b (id, v), c
  with (publish = 'insert, update', publish_via_partition_root = true)
"""
TAKEN = ["a", "b"]


async def test_a_kill_of_apply_leaves_before_or_after_and_rollback_restores_exactly(
    database: str, tmp_path: Path
) -> None:
    execute(database, SCHEMA)
    before = catalog(database)
    seen = []
    for step in count():
        folder = tmp_path / str(step)
        killed = killing.killed_at(step, killing.take_out, database, "p", TAKEN, folder)
        if not (folder / slim.MANIFEST).exists():
            assert catalog(database) == before
            await slim.prepare(database, killing.plan("p", TAKEN), folder)  # the way is free
            continue
        manifest = Manifest.read(folder)
        standing, _ = await slim.verify(database, manifest)
        assert (standing is Standing.BEFORE) == (catalog(database) == before)
        seen.append(standing)
        await slim.rollback(database, manifest)
        assert (await slim.verify(database, manifest))[0] is Standing.BEFORE
        assert catalog(database) == before
        if not killed:
            break
    # Killed with the manifest on disk, and with the tables out of the publication already.
    assert seen == sorted(seen, key=[Standing.BEFORE, Standing.AFTER].index)
    assert seen[0] is Standing.BEFORE
    assert seen.count(Standing.AFTER) > 1


async def test_a_kill_of_rollback_leaves_after_or_before_and_it_may_be_run_again(
    database: str, tmp_path: Path
) -> None:
    execute(database, SCHEMA)
    before = catalog(database)
    manifest = await slim.prepare(database, killing.plan("p", TAKEN), tmp_path)
    seen = []
    for step in count():
        await slim.apply(database, manifest)
        killed = killing.killed_at(step, killing.put_back, database, tmp_path)
        seen.append((await slim.verify(database, manifest))[0])
        await slim.rollback(database, manifest)
        assert catalog(database) == before
        if not killed:
            break
    assert seen == sorted(seen, key=[Standing.AFTER, Standing.BEFORE].index)
    assert set(seen) == {Standing.AFTER, Standing.BEFORE}
