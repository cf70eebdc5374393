"""One sender, 1,000 receivers, 200-byte broadcasts, beside a C loop of send(); and a crowd that
joins presence at once.

    python -m bench.broadcast [--sockets 1000] [--rounds 300] [--repeats 3] [--crowd 500]

"one at a time" leaves a pause between two broadcasts; in a "burst" the sender writes 16 at once.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from typing import Any

import aiohttp
import orjson

from bench import support
from bench.fanout import floor_cpu
from tests.support.gateway import Gateway
from tests.support.postgres import Server
from tests.support.tokens import make_token

TOPIC = "realtime:bench"
PAYLOAD = b'{"text":"%b"}' % (b"x" * (200 - 11))
NO_LIMITS = {
    "REALTIME_HUB_MAX_MESSAGES_PER_SECOND": "1000000",
    "REALTIME_HUB_MAX_MESSAGES_PER_SECOND_OVERALL": "1000000",
}


class Sender:
    """A raw WebSocket that has joined the room and writes binary frames (kind 3)."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(greeting())
        names = [name.encode() for name in ("1", "2", TOPIC, "e")]
        pushed = bytes([3, *map(len, names), 0, 1]) + b"".join(names) + PAYLOAD
        # A mask of zeros (RFC 6455, 5.3) leaves the payload as it is.
        self._frame = b"\x82\xfe" + len(pushed).to_bytes(2, "big") + bytes(4) + pushed

    def say(self, times: int) -> None:
        self._socket.sendall(self._frame * times)


def greeting() -> bytes:
    path = f"/realtime/v1/websocket?vsn=2.0.0&apikey={make_token('anon')}"
    return support.websocket_greeting(path, ["1", "1", TOPIC, "phx_join", {"config": {}}])


class Rig:
    """A gateway, a sender, and receivers in one C process."""

    def __init__(self, gateway: Gateway, sockets: int) -> None:
        assert gateway.process is not None
        self.pid = gateway.process.pid
        self.sockets = sockets
        self._url = gateway.url

    def count(self, name: str) -> float:
        return support.scrape(self._url, f"realtime_hub_gateway_{name}")

    def deliver(self, sender: Sender, rounds: int, at_once: int) -> tuple[float, float]:
        """Microseconds of CPU per delivery, and deliveries a second."""
        expected = self.count("broadcast_deliveries_total") + rounds * at_once * self.sockets
        cpu, began = support.cpu_seconds(self.pid), time.monotonic()
        for _ in range(rounds):
            sender.say(at_once)
            time.sleep(0.02)
        support.wait_until(lambda: self.count("broadcast_deliveries_total") >= expected)
        deliveries = rounds * at_once * self.sockets
        used = support.cpu_seconds(self.pid) - cpu
        return used * 1e6 / deliveries, deliveries / (time.monotonic() - began)


def measure_broadcasts(gateway: Gateway, options: argparse.Namespace) -> None:
    rig = Rig(gateway, options.sockets)
    support.pin(rig.pid, 0)
    with support.sink(gateway.port, options.sockets, greeting()):
        sender = Sender(gateway.port)
        support.wait_until(lambda: rig.count("joins_total") > options.sockets)
        floors, singles, bursts = [], [], []
        for _ in range(options.repeats):
            floors.append(floor_cpu(options.sockets, options.rounds, FRAME_BYTES))
            singles.append(rig.deliver(sender, options.rounds, 1))
            bursts.append(rig.deliver(sender, options.rounds // 4, 16))
    floor, single, burst = min(floors), min(singles), min(bursts)
    support.table(
        f"Broadcast of {len(PAYLOAD)} bytes to {options.sockets} sockets"
        f" (best of {options.repeats})",
        [
            ("C loop of send()", f"{floor:.2f} us/delivery"),
            ("gateway, one at a time", f"{single[0]:.2f} us/delivery"),
            ("  ratio of the C loop's cost", f"{support.ratio(floor, single[0])} (aim: 0.6)"),
            ("gateway, bursts of 16", f"{burst[0]:.2f} us/delivery"),
            ("  ratio", support.ratio(floor, burst[0])),
            ("  deliveries a second", f"{burst[1]:,.0f}"),
        ],
    )


FRAME_BYTES = 4 + 5 + len(TOPIC) + 1 + len(PAYLOAD)
"""Of what each receiver gets: a WebSocket header, and a binary frame of kind 4."""


class Guest:
    """One of the crowd: joins, tracks, and follows who is present."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, crowd: int) -> None:
        self._ws = ws
        self._crowd = crowd
        self._present: set[str] = set()
        self.diffs = 0

    async def run(self, number: int) -> None:
        config = {"presence": {"key": f"guest-{number}", "enabled": True}}
        await self._send("phx_join", "1", {"config": config})
        while len(self._present) < self._crowd:
            message = orjson.loads(await self._ws.receive_str())
            await self._take(message[1], message[3], message[4])

    async def _take(self, ref: str | None, event: str, payload: dict[str, Any]) -> None:
        match event:
            case "phx_reply" if ref == "1":
                await self._send("presence", "2", {"event": "track", "payload": {"seat": 1}})
            case "presence_state":
                self._present |= payload.keys()
            case "presence_diff":
                self.diffs += 1
                self._present |= payload["joins"].keys()

    async def _send(self, event: str, ref: str, payload: dict[str, Any]) -> None:
        await self._ws.send_str(orjson.dumps(["1", ref, TOPIC, event, payload]).decode())


async def gather_crowd(gateway: Gateway, crowd: int) -> tuple[float, float]:
    """Seconds until all know of all, and the diffs that one of them got on average."""
    url = f"{gateway.url}/realtime/v1/websocket"
    params = {"vsn": "2.0.0", "apikey": make_token("anon")}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        opening = (session.ws_connect(url, params=params, max_msg_size=0) for _ in range(crowd))
        guests = [Guest(ws, crowd) for ws in await asyncio.gather(*opening)]
        began = time.monotonic()
        await asyncio.gather(*(guest.run(number) for number, guest in enumerate(guests)))
        return time.monotonic() - began, sum(guest.diffs for guest in guests) / crowd


def measure_presence(gateway: Gateway, crowd: int) -> None:
    assert gateway.process is not None
    pid, cpu = gateway.process.pid, support.cpu_seconds(gateway.process.pid)
    seconds, each = asyncio.run(gather_crowd(gateway, crowd))
    made = support.scrape(gateway.url, "realtime_hub_gateway_presence_diffs_total")
    support.table(
        f"{crowd} clients join presence at once",
        [
            ("until all know of all", f"{seconds:.2f} s, clients included (one Python process)"),
            ("CPU of the gateway", f"{support.cpu_seconds(pid) - cpu:.2f} s"),
            ("diffs made", f"{made:.0f}"),
            ("diffs to each client", f"{each:.1f}"),
            ("  one for each join would be", f"up to {crowd}"),
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--crowd", type=int, default=500)
    options = parser.parse_args()
    support.raise_descriptor_limit()
    with Server() as server:
        dsn = server.new_database()
        server.execute(dsn, "create publication supabase_realtime")
        with Gateway(dsn, environment=NO_LIMITS) as gateway:
            measure_broadcasts(gateway, options)
        with Gateway(dsn, environment=NO_LIMITS) as gateway:
            measure_presence(gateway, options.crowd)


if __name__ == "__main__":
    main()
