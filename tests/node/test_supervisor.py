import asyncio

import pytest
import structlog.testing

from realtime_hub.node.supervisor import Supervisor


async def test_a_part_that_fails_ends_the_wait_with_its_error():
    supervisor = Supervisor()

    async def fail():
        raise LookupError("gone")

    supervisor.start("sleeper", asyncio.sleep(60))
    supervisor.start("failing", fail())
    with structlog.testing.capture_logs() as logs, pytest.raises(LookupError):
        await supervisor.wait()
    assert [(entry["event"], entry["part"]) for entry in logs] == [("part_ended", "failing")]
    await supervisor.stop()


async def test_a_part_that_ends_by_itself_ends_the_wait():
    supervisor = Supervisor()
    supervisor.start("short", asyncio.sleep(0))
    await supervisor.wait()
    await supervisor.stop()


async def test_stopping_cancels_every_part_and_tells_of_late_failures():
    supervisor, ended = Supervisor(), []

    async def part():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)
            raise LookupError("late")

    supervisor.start("late", part())
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as logs:
        await supervisor.stop()
    assert ended == [True]
    assert [entry["event"] for entry in logs] == ["part_failed"]
