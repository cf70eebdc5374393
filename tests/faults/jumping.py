"""A gateway whose system clock jumps: `python -m tests.faults.jumping serve ...`

CLOCK_AHEAD says by how many seconds it is ahead at the start, 0 by default. SIGUSR1 puts it an
hour forward, SIGUSR2 an hour back. Monotonic clocks go on as they did, as a system's do.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from realtime_hub.cli.main import main
from realtime_hub.gateway import resume

HOUR = 3600


def arm(ahead: int) -> None:
    seconds, nanoseconds = time.time, time.time_ns

    def jump(by: int) -> None:
        nonlocal ahead
        ahead += by
        os.write(2, f"clock {ahead}\n".encode())

    time.time = lambda: seconds() + ahead
    time.time_ns = lambda: nanoseconds() + ahead * 10**9
    signal.signal(signal.SIGUSR1, lambda *_: jump(HOUR))
    signal.signal(signal.SIGUSR2, lambda *_: jump(-HOUR))
    resume._SWEEP_SECONDS = 0.1  # type: ignore[misc]


if __name__ == "__main__":
    arm(int(os.environ.get("CLOCK_AHEAD", "0")))
    sys.argv[0] = "realtime-hub"
    main()
