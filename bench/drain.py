"""How fast a backlog drains: `pg_recvlogical -f /dev/null` against WalsenderSource to JSON.

    python bench/drain.py [--changes 300000] [--repeats 3]

Both read copies of one slot of one server, in turns, so that both meet the same noise. The
backlog is inserts into a table of 12 columns, in transactions of one row and of 1000. For
pg_recvlogical the bytes are thrown away; the source's changes become the JSON that clients get.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import psycopg
import structlog
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from realtime_hub.changes import Column, PgType, Row, Table, TypeKind
from realtime_hub.sources.walsender import WalsenderSource
from realtime_hub.wire.pgoutput import Relation
from realtime_hub.wire.realtime import ChangeEncoder, View
from tests.support.postgres import Server

TABLE = """
create table orders (
  id bigserial primary key, customer text, note text, state text, token uuid, quantity int,
  price numeric(10, 2), paid boolean, tags text[], details jsonb,
  created_at timestamptz, updated_at timestamptz
);
create publication bench for table orders;
"""
ROW = """
insert into orders (customer, note, state, token, quantity, price, paid, tags, details,
                    created_at, updated_at)
select 'customer ' || i, 'a note of some length about order ' || i, 'shipped',
  md5(i::text)::uuid, i % 100, (i % 10000) / 100.0, i % 2 = 0, array['new', 'web', 'gift'],
  jsonb_build_object('sku', i, 'color', 'blue', 'sizes', jsonb_build_array(1, 2, 3)),
  now(), now()
"""


class TypedDescriber:
    """Describes relations whose types are built in."""

    def __init__(self, types: dict[int, PgType]) -> None:
        self._types = types

    async def describe(self, relation: Relation) -> Table:
        columns = tuple(
            Column(c.name, c.type_oid, self._types[c.type_oid].name, primary_key=c.identity)
            for c in relation.columns
        )
        return Table(relation.oid, relation.schema, relation.name, columns, self._types)

    async def generate(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        return list(rows)


def main() -> None:
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with Server() as server:
        print(f"PostgreSQL {server.version}, {arguments.changes} changes, rows/s per run")
        for rows in (1, 1000):
            bench = Bench(server, arguments.changes, rows)
            bench.run(arguments.repeats)


class Bench:
    """One backlog, drained again and again through copies of its slot."""

    def __init__(self, server: Server, changes: int, rows: int) -> None:
        self._dsn = server.new_database()
        self._recvlogical = str(server._bin / "pg_recvlogical")
        self._changes = changes
        self._rows = rows
        self._slots = 0
        self._connection = psycopg.connect(self._dsn, autocommit=True)
        self._connection.execute(TABLE)
        self._slot = f"base_{rows}"
        self._connection.execute(
            "select pg_create_logical_replication_slot(%s, 'pgoutput')", (self._slot,)
        )
        self._fill()
        self._end = self._value("select pg_current_wal_insert_lsn()::text")
        self._types = self._read_types()

    def run(self, repeats: int) -> None:
        print(f"\ntransactions of {self._rows} row{'s' * (self._rows > 1)}")
        readers: dict[str, Callable[[str], float]] = {
            "pg_recvlogical": self._drain_recvlogical,
            "realtime-hub": self._drain_source,
        }
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(repeats):
            for name, drain in readers.items():
                seconds, cpu = self._timed(drain)
                rates[name].append(self._changes / seconds)
                per_row = cpu / self._changes * 1e6
                print(f"  {name:15} {rates[name][-1]:9,.0f} rows/s  {per_row:5.1f} us CPU per row")
        ratio = median(rates["realtime-hub"]) / median(rates["pg_recvlogical"])
        print(f"  ratio of medians: {ratio:.2f}")

    def _timed(self, drain: Callable[[str], float]) -> tuple[float, float]:
        self._slots += 1
        slot = f"run_{self._rows}_{self._slots}"
        self._connection.execute(
            "select pg_copy_logical_replication_slot(%s, %s)", (self._slot, slot)
        )
        started = time.perf_counter()
        cpu = drain(slot)
        return time.perf_counter() - started, cpu

    def _drain_recvlogical(self, slot: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [self._recvlogical, "-d", self._dsn, "-S", slot, "--start", "-f", "/dev/null"]
        command += ["-o", "proto_version=1", "-o", "publication_names=bench"]
        subprocess.run([*command, f"--endpos={self._end}", "--no-loop"], check=True)
        return _cpu(resource.getrusage(resource.RUSAGE_CHILDREN)) - _cpu(before)

    def _drain_source(self, slot: str) -> float:
        before = resource.getrusage(resource.RUSAGE_SELF)
        uvloop.run(self._read(slot))
        return _cpu(resource.getrusage(resource.RUSAGE_SELF)) - _cpu(before)

    async def _read(self, slot: str) -> None:
        source = WalsenderSource(
            self._dsn,
            slot=slot,
            publication="bench",
            describer=TypedDescriber(self._types),
            heartbeat=None,
        )
        view = View(tuple(range(12)))
        seen = 0
        batches = source.batches()
        async for batch in batches:
            for change in batch.changes:
                ChangeEncoder(change).payload(view, (1,))
            seen += len(batch.changes)
            if seen >= self._changes:
                break
        await batches.aclose()
        await source.aclose()

    def _fill(self) -> None:
        if self._rows == 1:
            loop = f"for i in 1..{self._changes} loop {ROW}; commit; end loop;"
        else:
            series = f"{ROW} from generate_series(n + 1, n + {self._rows}) i"
            loop = (
                f"for n in 0..{self._changes - 1} by {self._rows} loop {series}; commit; end loop;"
            )
        self._connection.execute(f"do $$ begin {loop} end $$".encode())

    def _value(self, query: str) -> str:
        row = self._connection.execute(query.encode()).fetchone()
        assert row is not None
        return str(row[0])

    def _read_types(self) -> dict[int, PgType]:
        rows = self._connection.execute(
            "select oid::int, typname, typelem::int, typcategory from pg_type"
            " where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b'"
        ).fetchall()
        return {
            oid: PgType(
                oid,
                name,
                TypeKind.ARRAY if category == "A" else TypeKind.BASE,
                category=category,
                element=element if category == "A" else 0,
            )
            for oid, name, element, category in rows
        }


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--changes", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
