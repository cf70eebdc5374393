"""The demo's server and the directory that it keeps."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from realtime_hub.demo.cluster import Cluster
from realtime_hub.errors import SettingsError


@pytest.fixture
def kept() -> Iterator[Path]:
    # Not tmp_path: as root, PostgreSQL runs as another user, who can't enter it.
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        Path(name).chmod(0o1777)
        yield Path(name) / "kept"


async def setting(dsn: str, name: str) -> str:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("select current_setting(%s)", (name,))).fetchone()
    assert row is not None
    return str(row[0])


async def test_kept_data_is_durable_and_thrown_away_data_is_not(centre: str, kept: Path) -> None:
    assert await setting(centre, "fsync") == "off"
    async with Cluster(kept) as cluster:
        assert await setting(cluster.dsn, "fsync") == "on"


async def test_what_a_slot_may_keep_is_bounded(centre: str) -> None:
    assert await setting(centre, "wal_level") == "logical"
    assert await setting(centre, "max_slot_wal_keep_size") == "1GB"


async def test_a_second_demo_on_the_same_directory_is_refused_and_harms_not_the_first(
    kept: Path,
) -> None:
    async with Cluster(kept) as first:
        with pytest.raises(SettingsError, match="another demo runs on"):
            await Cluster(kept).__aenter__()
        assert await setting(first.dsn, "wal_level") == "logical"
    async with Cluster(kept) as again:
        assert await setting(again.dsn, "wal_level") == "logical"


def test_a_directory_of_somebody_else_is_refused_and_left_as_it_is(kept: Path) -> None:
    kept.mkdir()
    (kept / "letter.txt").write_text("mine")
    before = kept.stat()
    with pytest.raises(SettingsError, match="holds something else"):
        asyncio.run(Cluster(kept).__aenter__())
    after = kept.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    assert [path.name for path in kept.iterdir()] == ["letter.txt"]
