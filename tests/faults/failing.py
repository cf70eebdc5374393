"""A gateway that ends or blocks at a named place: `python -m tests.faults.failing serve ...`

FAILPOINT names the place, FAILPOINT_HITS (1 by default) how often it is passed before. The line
`failpoint <name>` is written to stderr first. The places are found by name, so that nothing of
this stands in the product.

    decoded     the source has given a batch with changes
    appended    the log has the batch in memory, nobody has been given it
    unsynced    the writer is about to make changes durable
    synced      it has, and nobody knows yet
    confirmed   the server has been told
    sent        the sockets have been given frames of changes
    blocked     as unsynced, but the writer stops there for ever
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from realtime_hub.cli.main import main
from realtime_hub.gateway.outbox import Flusher
from realtime_hub.log.sqlite import SqliteChangeLog
from realtime_hub.log.store import Store
from realtime_hub.node.pipeline import Pipeline
from realtime_hub.sources.session import Session

Test = Callable[..., bool]


def _has_changes(_: object, batch: Any) -> bool:
    return bool(batch.changes)


def _writes_changes(_: object, changes: Any, *__: object) -> bool:
    return bool(changes)


def _confirms(session: Any, **_: object) -> bool:
    return bool(session._progress.confirmed_lsn)


def _flushes(flusher: Any) -> bool:
    frames = [frame for outbox in flusher._dirty for frame in outbox._frames]
    return any(b"postgres_changes" in frame and b'"record"' in frame for frame in frames)


PLACES: dict[str, tuple[type, str, Test, bool]] = {
    "decoded": (Pipeline, "_take", _has_changes, True),
    "appended": (SqliteChangeLog, "append", _has_changes, False),
    "unsynced": (Store, "write", _writes_changes, True),
    "synced": (Store, "write", _writes_changes, False),
    "confirmed": (Session, "_send_status", _confirms, False),
    "sent": (Flusher, "_flush", _flushes, False),
    "blocked": (Store, "write", _writes_changes, True),
}
"""Class, method, whether a call counts, and whether it ends before the method or behind it."""


def arm(name: str, hits: int) -> None:
    """Have the process end when the place has been passed so often."""
    owner, method, counts, before = PLACES[name]
    original = getattr(owner, method)
    left = hits

    def pass_by() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            return
        os.write(2, f"failpoint {name}\n".encode())
        if name == "blocked":
            threading.Event().wait()
        os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def failing(*args: Any, **kwargs: Any) -> Any:
        counted = counts(*args, **kwargs)
        if counted and before:
            pass_by()
        result = original(*args, **kwargs)
        if counted and not before:
            pass_by()
        return result

    setattr(owner, method, failing)


if __name__ == "__main__":
    arm(os.environ["FAILPOINT"], int(os.environ.get("FAILPOINT_HITS", "1")))
    sys.argv[0] = "realtime-hub"
    main()
