"""One 500-byte change to 1,000 sockets, repeated: CPU per delivery beside a C loop of send().

    python -m bench.fanout [--sockets 1000] [--rounds 200] [--repeats 3]

Both run in turn, several times, in the same run; clients are one C process. "burst" commits
16 changes in one transaction, so that one loop turn has several frames for each socket.
"""

from __future__ import annotations

import argparse
import subprocess
import time

import psycopg

from bench import support
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.postgres import Server
from tests.support.tokens import make_token

FRAME_BYTES = 500
TOPIC = "realtime:bench"


def floor_cpu(sockets: int, rounds: int, size: int = FRAME_BYTES) -> float:
    """Microseconds of CPU per send() of the bare C loop."""
    port = free_port()
    command = ["send", str(port), str(sockets), str(size), str(rounds), "2000"]
    with (
        subprocess.Popen(
            ["taskset", "-c", "0", support.floor_program(), *command], stdout=subprocess.PIPE
        ) as sender,
        support.sink(port, sockets, b""),
    ):
        assert sender.stdout is not None
        return float(sender.stdout.readline())


class Rig:
    """A gateway whose sockets all listen to one table."""

    def __init__(self, server: Server, sockets: int) -> None:
        self.sockets = sockets
        self.dsn = server.new_database()
        server.execute(
            self.dsn,
            "create table mensaje(id bigint generated always as identity primary key, cuerpo text);"
            "create publication supabase_realtime for table mensaje",
        )
        self.gateway = Gateway(self.dsn)

    def greeting(self, *, join: bool = True) -> bytes:
        token = make_token("anon")
        binding = {"event": "*", "schema": "public", "table": "mensaje"}
        joining = ["1", "1", TOPIC, "phx_join", {"config": {"postgres_changes": [binding]}}]
        path = f"/realtime/v1/websocket?vsn=2.0.0&apikey={token}"
        return support.websocket_greeting(path, *[joining] * join)

    def memory_per_connection(self) -> float:
        """Bytes that an idle connection without a channel takes, connections before aside."""
        assert self.gateway.process is not None
        pid, before = self.gateway.process.pid, self.count("connections")
        resident = support.resident_bytes(pid)
        with support.sink(self.gateway.port, self.sockets, self.greeting(join=False)):
            support.wait_until(lambda: self.count("connections") >= before + self.sockets)
            taken = support.resident_bytes(pid) - resident
        support.wait_until(lambda: self.count("connections") <= before)
        return taken / self.sockets

    def count(self, name: str) -> float:
        return support.scrape(self.gateway.url, f"realtime_hub_gateway_{name}")

    def deliver(self, rounds: int, *, per_round: int, gap: float) -> float:
        """Commit that many rounds and answer the microseconds of CPU per delivery."""
        assert self.gateway.process is not None
        pid, before = self.gateway.process.pid, self.count("frames_sent_total")
        expected = before + rounds * per_round * self.sockets
        body = "x" * (FRAME_BYTES - 295)
        cpu = support.cpu_seconds(pid)
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for _ in range(rounds):
                conn.execute(
                    "insert into mensaje(cuerpo) select %s from generate_series(1, %s)",
                    (body, per_round),
                )
                time.sleep(gap)
        support.wait_until(lambda: self.count("frames_sent_total") >= expected)
        return (support.cpu_seconds(pid) - cpu) * 1e6 / (expected - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    support.raise_descriptor_limit()
    with Server() as server:
        rig = Rig(server, options.sockets)
        with rig.gateway:
            measure(rig, options)


def measure(rig: Rig, options: argparse.Namespace) -> None:
    assert rig.gateway.process is not None
    pid = rig.gateway.process.pid
    support.pin(pid, 0)
    idle = rig.memory_per_connection()
    with support.sink(rig.gateway.port, options.sockets, rig.greeting()):
        support.wait_until(lambda: rig.count("joins_total") >= options.sockets)
        floors, singles, bursts, sizes = [], [], [], []
        for _ in range(options.repeats):
            floors.append(floor_cpu(options.sockets, options.rounds))
            bytes_before, frames = rig.count("bytes_sent_total"), rig.count("frames_sent_total")
            writes = rig.count("writes_total")
            singles.append(rig.deliver(options.rounds, per_round=1, gap=0.025))
            sent, written = rig.count("frames_sent_total"), rig.count("writes_total")
            sizes.append((rig.count("bytes_sent_total") - bytes_before) / (sent - frames))
            single_writes = (written - writes) / (sent - frames)
            bursts.append(rig.deliver(options.rounds // 4, per_round=16, gap=0.025))
            frames, writes = sent, written
            sent, written = rig.count("frames_sent_total"), rig.count("writes_total")
            burst_writes = (written - writes) / (sent - frames)
    floor, single, burst = min(floors), min(singles), min(bursts)
    support.table(
        f"Fan-out to {options.sockets} sockets (best of {options.repeats})",
        [
            ("frame", f"{sizes[-1]:.0f} bytes"),
            ("C loop of send()", f"{floor:.2f} us/delivery"),
            ("gateway, one change at a time", f"{single:.2f} us/delivery"),
            ("  ratio of the C loop's cost", f"{support.ratio(floor, single)} (1 is the floor)"),
            ("gateway, 16 changes a transaction", f"{burst:.2f} us/delivery"),
            ("  ratio", support.ratio(floor, burst)),
            ("writes per frame, one at a time / 16", f"{single_writes:.2f} / {burst_writes:.2f}"),
            ("memory per idle connection", f"{idle / 1024:.1f} KiB"),
        ],
    )


if __name__ == "__main__":
    main()
