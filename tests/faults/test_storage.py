"""What the log's disk does to a gateway, and what it keeps no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ledger import (
    Ledger,
    confirmed,
    cursor,
    durable_lsn,
    figure,
    following,
    gaps,
    received,
    served,
    until,
    watch,
)
from tests.support.client import RealtimeClient
from tests.support.disk import small_disk
from tests.support.gateway import Gateway
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

ANON = make_token("anon")


def fill(ballast: Path) -> None:
    """Take what is free."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def failing(gateway: Gateway) -> bool:
    return figure(gateway, "realtime_hub_log_failing") == 1


@pytest.mark.faults
async def test_a_full_disk_stops_what_is_acknowledged_and_no_delivery(
    ledger: Ledger, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        log = disk / "changes.sqlite"
        with served(ledger, slot="full_disk", arguments=("--log", str(log))) as gateway:
            async with following(gateway, ANON) as follower:
                await follower.until(lambda: follower.joined)
                ledger.write(1)
                await follower.until(lambda: follower.numbers == [1])
                fill(disk / "ballast")
                while not failing(gateway):
                    ledger.write(10, size=20_000)
                    await follower.until(lambda: follower.numbers == ledger.committed)
                ledger.write(20)
                await follower.until(lambda: follower.numbers == ledger.committed)
                assert "changelog_write_failed" in gateway.log
                stuck = confirmed(ledger, "full_disk")
                assert stuck <= durable_lsn(log)
                (disk / "ballast").unlink()
                await until(lambda: not failing(gateway))
                await until(lambda: confirmed(ledger, "full_disk") > stuck)
                assert "changelog_recovered" in gateway.log
                gateway.kill()
                gateway.start()
                ledger.write(3)
                await follower.until(lambda: len(follower.numbers) >= len(ledger.committed))
                assert follower.numbers == ledger.committed
                assert follower.gaps == []


async def test_a_cursor_from_before_what_is_kept_is_a_gap_and_one_from_within_is_none(
    ledger: Ledger,
) -> None:
    with served(ledger, environment={"REALTIME_HUB_LOG_MAX_BYTES": str(1 << 20)}) as gateway:
        async with await RealtimeClient.connect(gateway.url, ANON) as client:
            channel = await client.join("room", [watch()])
            ledger.write(1)
            await channel.wait_changes(1)
            before = cursor(channel)
            ledger.write(30, size=100_000)
            await channel.wait_changes(31)
            await until(lambda: figure(gateway, "realtime_hub_log_changes") < 12)
            within = channel.changes[-3]["cursor"]
            late = await client.join("late", [watch(since=before)])
            await late.wait_system("ok", "Gap")
            assert [gap["reason"] for gap in gaps(late)] == ["RetentionPassed"]
            assert gaps(late)[0]["from"] == before
            early = await client.join("early", [watch(since=within)])
            ledger.write(1)
            await early.wait_changes(3)
            await late.wait_changes(1)
            assert received(early) == ledger.committed[-3:]
            assert received(late) == ledger.committed[-1:]
            assert gaps(early) == []
