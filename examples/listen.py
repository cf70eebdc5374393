"""Print the changes of some tables until Ctrl-C.

DATABASE_URL=postgresql://... python examples/listen.py llamadas_ventas prospectos
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from realtime_hub import Change, Gap, RealtimeHub


def show(change: Change) -> None:
    print(change.event, change.table, change.new or change.old, flush=True)


def missed(gap: Gap) -> None:
    print("read again:", gap.table, gap.message, flush=True)


async def main(tables: list[str]) -> None:
    async with RealtimeHub.from_url(os.environ["DATABASE_URL"]) as hub:
        hub.on_gap(missed)
        for table in tables:
            await hub.subscribe(table, "*", show)
        print("listening", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
