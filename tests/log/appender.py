"""A process that appends until it is killed, and prints each LSN that `sync` answers.

    python -m tests.log.appender PATH

It goes on where the log ends, so that it can be killed again and again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from realtime_hub.hub.ports import Batch, ChangeLog
from tests.log.parts import insert, make_table, open_log


async def append(log: ChangeLog) -> None:
    table = make_table()
    lsn = log.head.lsn if log.head else 0
    while True:
        for _ in range(lsn % 7 + 1):
            lsn += 1
            rows = [insert(table, log.epoch, lsn, i, f"{lsn}.{i}") for i in range(lsn % 5 + 1)]
            log.append(Batch(rows, confirmable=lsn))
        await asyncio.sleep(0)
        await log.room()


async def main(path: Path) -> None:
    log = await open_log(path, high_water=1 << 20)
    appending = asyncio.create_task(append(log))
    while not appending.done():
        sys.stdout.write(f"{await log.sync()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
