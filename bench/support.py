"""What the benchmarks share: the C floor, raw WebSocket greetings, CPU clocks of processes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

HERE = Path(__file__).parent
OUT = HERE / "out"
_TICKS = os.sysconf("SC_CLK_TCK")


def floor_program() -> Path:
    """Compile bench/floor.c where it changed, and answer the program."""
    OUT.mkdir(exist_ok=True)
    source, program = HERE / "floor.c", OUT / "floor"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source], check=True)
    return program


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, in seconds (10 ms steps)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`; a postmaster's are its backends."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def postmaster_pid(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(
            "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"
        ).fetchone()
    assert row is not None
    return int(row[0])


class DatabaseClock:
    """CPU seconds of all server processes, those that have ended between two looks included."""

    def __init__(self, dsn: str) -> None:
        self._postmaster = postmaster_pid(dsn)

    def seconds(self) -> float:
        fields = Path(f"/proc/{self._postmaster}/stat").read_text().rpartition(")")[2].split()
        ended = (int(fields[13]) + int(fields[14])) / _TICKS
        total = ended + cpu_seconds(self._postmaster)
        for pid in children(self._postmaster):
            try:
                total += cpu_seconds(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return total


def hub_cpu(dsn: str) -> float:
    """CPU seconds of the walsender and of the gateway's other sessions in the database."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows = conn.execute(
            "select pid from pg_stat_activity"
            " where backend_type = 'walsender' or application_name like 'realtime%'"
        ).fetchall()
    return sum(cpu_seconds(pid) for (pid,) in rows)


def websocket_greeting(path: str, *messages: object) -> bytes:
    """The bytes of a client that opens a WebSocket and at once sends these JSON messages."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    return head + b"".join(client_frame(json.dumps(message).encode()) for message in messages)


def client_frame(payload: bytes) -> bytes:
    """A text frame whose mask (RFC 6455, 5.3) is all zeros, so the payload stays as it is."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + payload


@contextmanager
def sink(
    port: int, connections: int, greeting: bytes, *, expected: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """That many raw clients in one C process on the last core, reading all that comes."""
    command = [str(floor_program()), "sink", str(port), str(connections), str(expected)]
    if (os.cpu_count() or 1) > 1:
        command = ["taskset", "-c", str((os.cpu_count() or 1) - 1), *command]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(greeting)
    process.stdin.close()
    assert process.stdout.readline() == b"connected\n"
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark's condition never came true")
        time.sleep(0.05)


def raise_descriptor_limit() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def table(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"\n{title}")
    width = max(len(name) for name, _ in rows)
    for name, figure in rows:
        print(f"  {name:<{width}}  {figure}")


def ratio(part: float, whole: float) -> str:
    """Processes' times come in hundredths of a second: a short run's may be none."""
    return f"{part / whole:.2f}" if whole else "too short to tell"


def scrape(url: str, name: str) -> float:
    """The sum of a metric's samples on a gateway's /metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def quantile(url: str, name: str, share: float) -> float:
    """The bucket, in milliseconds, that a share of a histogram's observations falls below."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    buckets = [line for line in lines if line.startswith(f"{name}_bucket")]
    counts = [float(line.rpartition(" ")[2]) for line in buckets]
    place = next(i for i, count in enumerate(counts) if count >= share * counts[-1])
    return float(buckets[place].split('le="')[1].split('"')[0]) * 1000


def pin(pid: int, core: int) -> None:
    """Keep a process, with all its threads, on one core."""
    subprocess.run(["taskset", "-a", "-cp", str(core), str(pid)], check=True, capture_output=True)
