"""Runs one case over real sockets against a real gateway and a fresh database.

A table of our own, the marker, is published beside the case's tables and every channel has a
second binding on it. A row in it is a barrier: changes keep their order per channel, so once
the marker's row has come, everything before it has been delivered, or never will be.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.conformance.cases import Case, Event, Outcome, Subscription, exact
from tests.support.client import Channel, Frame, RealtimeClient
from tests.support.gateway import PUBLICATION

MARKER = "conformance_marker"
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_WAIT = 30.0

Serving = Callable[[str], AbstractAsyncContextManager[str]]
"""From a DSN to the URL of a gateway that serves it."""


@dataclass(slots=True)
class Seat:
    """One subscriber of the case, on a connection of its own."""

    subscription: Subscription
    channel: Channel
    refusals: list[str] = field(default_factory=list)

    @property
    def ids(self) -> tuple[int, int]:
        """Ids of the case's binding and of the marker's."""
        case, marker = self.channel.ids
        return case, marker

    @property
    def refused(self) -> str | None:
        """Why the case's binding is refused, from the join reply or a system frame."""
        if not self.channel.joined:
            return self.channel.reason
        return next((text for text in self._errors() if f"table: {MARKER}" not in text), None)

    @property
    def deaf(self) -> bool:
        """Whether the marker can't come either, as for a role that does not exist."""
        return not self.channel.joined or any(f"table: {MARKER}" in t for t in self._errors())

    def _errors(self) -> list[str]:
        return [s["message"] for s in self.channel.systems if s["status"] == "error"]

    def marked(self, number: int) -> bool:
        return any(
            change["data"]["table"] == MARKER and change["data"]["record"]["n"] == number
            for change in self.channel.changes
        )

    async def settle(self, number: int) -> None:
        """Wait for the marker's row, unless the channel can't get it."""
        client = self.channel.client
        await client.until(lambda: self.deaf or self.marked(number), _WAIT)

    def events(self) -> list[tuple[dict[str, Any], list[int]]]:
        """Data and ids of the case's own changes, numbers as text."""
        frames = [f for f in self.channel.frames if f.event == "postgres_changes"]
        payloads = [(_payload(f), f.payload["ids"]) for f in frames]
        return [(p["data"], ids) for p, ids in payloads if p["data"]["table"] != MARKER]


def _payload(frame: Frame) -> dict[str, Any]:
    value = exact(frame.raw)
    payload = value[4] if isinstance(value, list) else value["payload"]
    assert isinstance(payload, dict)
    return payload


def prepare(dsn: str, case: Case) -> None:
    """Create the case's tables, the marker and the publication."""
    published = ", ".join([*case.publish, MARKER])
    options = f" with ({case.options})" if case.options else ""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in case.setup:
            conn.execute(statement.encode())
        conn.execute(f"create table public.{MARKER}(n int primary key)".encode())
        conn.execute(f"grant select on public.{MARKER} to public".encode())
        conn.execute(f"create publication {PUBLICATION} for table {published}{options}".encode())


async def run(dsn: str, case: Case, serving: Serving) -> tuple[Outcome, list[str]]:
    """Run the case on an empty database; answer the outcome, and faults of form."""
    await asyncio.to_thread(prepare, dsn, case)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(dsn))
        seats = [await _sit(stack, url, sub) for sub in case.subscriptions]
        conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        stack.push_async_callback(conn.close)
        barrier = _Barrier(conn, seats)
        await barrier.raise_()
        for statement in case.statements:
            await _execute(conn, case, statement, barrier)
        await barrier.raise_()
        return _outcome(seats), _faults(case, seats)


async def _sit(stack: AsyncExitStack, url: str, subscription: Subscription) -> Seat:
    token = subscription.token()
    client = await RealtimeClient.connect(url, token)
    await stack.enter_async_context(client)
    marker = {"event": "INSERT", "schema": "public", "table": MARKER}
    channel = await client.join(
        f"case:{subscription.ref}", [subscription.params, marker], access_token=token
    )
    return Seat(subscription, channel)


class _Barrier:
    """Raised as often as needed; each time waits until every seat has passed it."""

    def __init__(self, conn: psycopg.AsyncConnection[Any], seats: list[Seat]) -> None:
        self._conn = conn
        self._seats = seats
        self._count = 0

    async def raise_(self) -> None:
        self._count += 1
        await self._conn.execute(f"insert into public.{MARKER} values ({self._count})".encode())
        await asyncio.gather(*(seat.settle(self._count) for seat in self._seats))


async def _execute(
    conn: psycopg.AsyncConnection[Any], case: Case, statement: str, barrier: _Barrier
) -> None:
    if statement == "--poll":
        await barrier.raise_()
    elif statement.startswith("?"):
        text = statement.removeprefix("?")
        try:
            await conn.execute(text.encode())
        except psycopg.Error as error:
            assert case.statement_errors[text] in str(error)  # noqa: PT017
        else:
            raise AssertionError(f"did not fail: {text}")
    else:
        await conn.execute(statement.encode())


def _outcome(seats: list[Seat]) -> Outcome:
    return Outcome(
        {seat.subscription.ref: seat.refused or "ok" for seat in seats},
        {seat.subscription.ref: [Event.received(d) for d, _ in seat.events()] for seat in seats},
    )


def _faults(case: Case, seats: list[Seat]) -> list[str]:
    """What is wrong with the frames' ids and times, whatever they carry."""
    faults = []
    times = set()
    for seat in seats:
        for data, ids in seat.events():
            if ids != [seat.ids[0]]:
                faults.append(f"{seat.subscription.ref}: ids {ids}, bound as {seat.ids}")
            if not _TIMESTAMP.fullmatch(data["commit_timestamp"] or ""):
                faults.append(f"commit_timestamp {data['commit_timestamp']!r}")
            times.add(data["commit_timestamp"])
    if len(case.statements) == 1 and len(times) > 1:
        faults.append(f"one transaction, several times: {sorted(times)}")
    return faults
