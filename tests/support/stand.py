"""A database with published tables and the gateway that serves it, for a whole suite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.gateway import PUBLICATION, Gateway
from tests.support.postgres import Server


@dataclass(frozen=True, slots=True)
class Stand:
    """`numbers` never repeat, so tests that share a stand can make keys of them."""

    server: Server
    dsn: str
    gateway: Gateway
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return self.gateway.url

    def write(self, *statements: str) -> None:
        """Run each statement in a transaction of its own."""
        for statement in statements:
            self.server.execute(self.dsn, statement)


@contextmanager
def standing(server: Server, tables: str, published: str) -> Iterator[Stand]:
    """Create the tables in a fresh database, publish the named ones, and serve them."""
    dsn = server.new_database()
    try:
        server.execute(dsn, tables)
        server.execute(dsn, f"create publication {PUBLICATION} for table {published}")
        with Gateway(dsn) as gateway:
            yield Stand(server, dsn, gateway)
    finally:
        server.drop_database(dsn)
