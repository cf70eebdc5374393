"""Places in the code at which a test ends or halts the process; nothing happens without one.

`REALTIME_HUB_FAILPOINT=kill:appended:/tmp/now` kills the process (SIGKILL) where it reaches
`appended` while the file /tmp/now exists; `block:...` halts the thread there until the file is
gone. Either writes one log line first.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final, Literal

import structlog

log = structlog.get_logger(__name__)

VARIABLE: Final = "REALTIME_HUB_FAILPOINT"
Place = Literal["decoded", "appended", "before_fsync", "after_fsync", "acknowledged", "sent"]

_action, _place, _file = (*os.environ.get(VARIABLE, "").split(":", 2), "", "", "")[:3]


def reach(place: Place) -> None:
    """Say that this place is reached."""
    if place == _place:
        _act(place, Path(_file))


def _act(place: Place, file: Path) -> None:
    if not file.exists():
        return
    log.error("failpoint", place=place, action=_action)
    if _action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while file.exists():
        time.sleep(0.01)
