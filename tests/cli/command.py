"""The command line as a process, without what the environment says of this package."""

from __future__ import annotations

import os
import subprocess
import sys


def realtime_hub(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `realtime-hub` to its end."""
    inherited = {k: v for k, v in os.environ.items() if "DATABASE_URL" not in k}
    inherited = {k: v for k, v in inherited.items() if not k.startswith("REALTIME_HUB_")}
    return subprocess.run(
        [sys.executable, "-m", "realtime_hub", *arguments],
        env={**inherited, "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
