"""Every committed row against every delivery owed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.client import Channel
from tests.support.gateway import PUBLICATION, Gateway
from tests.support.postgres import Server

TABLE = "libro"


class Ledger:
    """A published table of numbered rows, and the numbers that were committed, in order."""

    def __init__(self, server: Server, dsn: str) -> None:
        self.server = server
        self.dsn = dsn
        self.committed: list[int] = []
        self._numbers = itertools.count(1)
        server.execute(dsn, f"create table {TABLE}(id int primary key, nota text)")
        server.execute(dsn, f"grant select on {TABLE} to anon, authenticated")
        server.execute(dsn, f"create publication {PUBLICATION} for table {TABLE}")

    def write(self, count: int = 1, *, size: int = 20, each: int = 1) -> None:
        """Commit `count` transactions of `each` rows, whose notes have `size` characters."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for _ in range(count):
                numbers = list(itertools.islice(self._numbers, each))
                conn.execute(
                    f"insert into {TABLE} select n, repeat('x', %s) from unnest(%s::int[]) n",
                    (size, numbers),
                )
                self.committed += numbers

    def after(self, number: int) -> list[int]:
        return [n for n in self.committed if n > number]


@contextmanager
def keeping(server: Server) -> Iterator[Ledger]:
    """A ledger in a database of its own."""
    dsn = server.new_database()
    try:
        yield Ledger(server, dsn)
    finally:
        server.drop_database(dsn)


@contextmanager
def served(ledger: Ledger, **options: Any) -> Iterator[Gateway]:
    with Gateway(ledger.dsn, **options) as gateway:
        yield gateway


def watch(**more: Any) -> dict[str, Any]:
    """The binding on the ledger."""
    return {"event": "*", "schema": "public", "table": TABLE, **more}


def received(channel: Channel) -> list[int]:
    """The numbers that came, in order."""
    return [change["data"]["record"]["id"] for change in channel.changes]


def gaps(channel: Channel) -> list[dict[str, Any]]:
    return [system["gap"] for system in channel.systems if "gap" in system]


def cursor(channel: Channel) -> str:
    """That of the last change that came."""
    return str(channel.changes[-1]["cursor"])
