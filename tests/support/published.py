"""A database to read from: table t (id, v) in publication p, and u outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from realtime_hub.changes import Change
from realtime_hub.lsn import parse_lsn
from realtime_hub.sources.walsender import WalsenderSource
from tests.support.describing import RelationDescriber
from tests.support.waiting import until


class PublishedDatabase:
    """One connection for writing, and sources on the database's own slot."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.conn = psycopg.connect(dsn, autocommit=True)
        # The slot's name must differ between databases: slots belong to the server.
        self.slot = f"hub_{conninfo_to_dict(dsn)['dbname']}"
        self.run("create table t (id int primary key, v text)")
        self.run("create table u (id int)")
        self.run("create publication p for table t")

    def reconnect(self) -> None:
        """Connect again, after the server was restarted."""
        self.conn = psycopg.connect(self.dsn, autocommit=True)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def insert(self, *ids: int) -> None:
        for number in ids:
            self.conn.execute("insert into t values (%s, 'x')", (number,))

    def source(self, **options: Any) -> WalsenderSource:
        settings: dict[str, Any] = {
            "dsn": self.dsn,
            "slot": self.slot,
            "publication": "p",
            "describer": RelationDescriber(),
            "heartbeat": None,
            "max_retry_delay": 0.2,
        }
        return WalsenderSource(**settings | options)

    def slot_row(self, columns: str = "*") -> tuple[Any, ...] | None:
        rows = self.run(
            f"select {columns} from pg_replication_slots where slot_name = '{self.slot}'"
        )
        return rows[0] if rows else None

    def confirmed(self) -> int:
        row = self.slot_row("confirmed_flush_lsn")
        assert row is not None
        return parse_lsn(row[0])

    def wal(self) -> int:
        return parse_lsn(self.run("select pg_current_wal_insert_lsn()")[0][0])

    async def terminate_walsender(self) -> None:
        await until(lambda: self.slot_row("active") == (True,))
        ((ended,),) = self.run(
            "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots"
            f" where slot_name = '{self.slot}'"
        )
        assert ended is True


def ids(changes: Sequence[Change]) -> list[int]:
    return [int(change.row[0]) for change in changes]  # type: ignore[index,arg-type]
