"""Each benchmark still runs, in small: its figures are another matter."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = {
    "authorization": "--users 12 --seconds 1 --rate 120",
    "broadcast": "--sockets 20 --rounds 5 --repeats 1 --crowd 20",
    "dispatch": "--repeats 1",
    "drain": "--changes 2000 --repeats 1",
    "fanout": "--sockets 20 --rounds 5 --repeats 1",
    "latency": "--users 5 --seconds 2",
    "log": "--rows 2000",
    "resume": "--clients 5 --changes 50 --backlog 1000 --seconds 1 --repeats 1",
    "soak": "--minutes 0.2 --clients 4",
}

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_every_benchmark_is_tried() -> None:
    tools = {"__init__", "support"}
    assert {file.stem for file in (ROOT / "bench").glob("*.py")} - tools == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_to_its_end_and_prints_figures(name: str) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    command = [sys.executable, "-m", f"bench.{name}", *SMALL[name].split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(character.isdigit() for character in done.stdout)
