"""A snapshot: counters at the beginning and at the end of a time, in a small file.

Totals say nothing without the time that they came in, so a snapshot is a window of two looks. The
first look is either taken (`--watch`), or is what PostgreSQL's own reset was: all zero, then.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from realtime_hub.errors import SettingsError
from realtime_hub.ops.audit.gathering import most_of, statement_facts, subscriptions
from realtime_hub.ops.connection import Connection, connected, rows

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Look:
    """Counters at one moment; what could not be read is None.

    tables: changes written to each published table. *_since: when PostgreSQL began to count.
    started: of the server. cpu: seconds of all its processes, where they run on this machine.
    """

    at: str
    started: str = ""
    tables: Mapping[str, int] = field(default_factory=dict)
    tables_since: str | None = None
    list_calls: int | None = None
    list_ms: float | None = None
    calls: int | None = None
    ms: float | None = None
    statements_since: str | None = None
    deallocations: int = 0
    cpu: float | None = None

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A window from begin to end. per_user: rows of realtime.subscription by table, on average.

    begin: None for "since PostgreSQL began to count". cpu_percent: as the user gave it.
    reset: when `pg_stat_statements` was reset for it, if it was.
    """

    system: str
    version: int
    publication: str
    end: Look
    begin: Look | None = None
    per_user: Mapping[str, float] | None = None
    cpu_percent: float | None = None
    reset: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Self:
        """A snapshot's file.

        Raises:
            SettingsError: it can't be read, or is something else.
        """
        try:
            return cls.from_json(json.loads(path.read_bytes()))
        except OSError as error:
            raise SettingsError(f"{path} can't be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SettingsError(f"{path} is not a snapshot of `realtime-hub baseline`") from None

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError where it is something else."""
        values = dict(given)
        if values.pop("schema") != SCHEMA:
            raise ValueError("another version")
        begin = values.pop("begin")
        end = Look(**values.pop("end"))
        end.time  # noqa: B018 - a time that is none is refused here
        return cls(end=end, begin=None if begin is None else Look(**begin), **values)

    def write(self, path: Path) -> None:
        """Raises SettingsError: the file can't be written."""
        try:
            path.write_text(json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise SettingsError(f"{path} can't be written: {error.strerror}") from None


async def take(
    dsn: str,
    publication: str,
    *,
    watch: float = 0.0,
    reset: bool = False,
    cpu_percent: float | None = None,
) -> Snapshot:
    """A snapshot of `watch` seconds, or since PostgreSQL began to count.

    reset: first reset `pg_stat_statements`; nothing else is ever changed.

    Raises:
        SettingsError, DatabaseUnreachableError, NotFitError, SourceError
    """
    async with connected(dsn, read_only=False) as conn:
        began = await _reset(conn) if reset else None
        (server,) = await rows(conn, _SERVER)
        begin = await look(conn, publication) if watch else None
        seen = await subscriptions(conn)
        if watch:
            await asyncio.sleep(watch)
            later = await subscriptions(conn)
            seen = most_of(seen, later) if seen is not None else later
        return Snapshot(
            system=f"{server['system']}/{server['database']}",
            version=server["version"] // 10_000,
            publication=publication,
            begin=begin,
            end=await look(conn, publication),
            per_user=None
            if seen is None
            else {
                str(name): round(found.rows / max(found.users, 1), 3)
                for name, found in sorted(seen.by_table.items())
            },
            cpu_percent=cpu_percent,
            reset=began,
        )


async def look(conn: Connection, publication: str) -> Look:
    """Counters at this moment."""
    await conn.execute("select pg_catalog.pg_stat_clear_snapshot()")
    (moment,) = await rows(conn, _MOMENT)
    tables = await rows(conn, _TABLES, publication)
    statements, _ = await statement_facts(conn)
    found = Look(
        at=_iso(moment["now"]),
        started=_iso(moment["started"]),
        tables={row["name"]: row["changes"] for row in tables},
        tables_since=moment["since"] and _iso(moment["since"]),
        cpu=server_cpu(moment["pid"], conn.info.host or ""),
    )
    if statements is None:
        return found
    return replace(
        found,
        list_calls=statements.list_calls,
        list_ms=statements.list_ms,
        calls=statements.calls,
        ms=statements.ms,
        statements_since=None if statements.since is None else _iso(statements.since),
        deallocations=statements.deallocations,
    )


def server_cpu(pid: int, host: str, proc: Path = Path("/proc")) -> float | None:
    """CPU seconds of the server and all its processes, dead ones too; None if it is not here.

    pid: of our own backend, whose parent is the server.
    """
    if not (host.startswith("/") or host in ("127.0.0.1", "localhost", "::1", "")):
        return None
    try:
        if "postgres" not in (proc / str(pid) / "comm").read_text():
            return None  # another machine's number, behind a tunnel
        server = _stat(proc / str(pid))[1]
        ticks = 0
        for entry in proc.iterdir():
            if entry.name.isdigit() and (found := _stat_or_none(entry)) is not None:
                own, parent, used = found
                # The server's own entry holds what its ended children used.
                ticks += sum(used) if own == server else sum(used[:2]) if parent == server else 0
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat_or_none(entry: Path) -> tuple[int, int, list[int]] | None:
    try:
        return _stat(entry)
    except (OSError, ValueError, IndexError):
        return None  # ended in the meantime


def _stat(entry: Path) -> tuple[int, int, list[int]]:
    """Process, parent, and ticks: user, system, and both of ended children (proc(5))."""
    pid, _, rest = (entry / "stat").read_text().partition(" ")
    fields = rest.rpartition(")")[2].split()
    return int(pid), int(fields[1]), [int(text) for text in fields[11:15]]


async def _reset(conn: Connection) -> str:
    found = await rows(conn, _PLACE)
    if not found:
        raise SettingsError("pg_stat_statements is not installed: there is nothing to reset")
    await conn.execute(f"select {found[0]['schema']}.pg_stat_statements_reset()".encode())
    return datetime.now(UTC).isoformat(timespec="seconds")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


_SERVER: Final = """
select (select s.system_identifier from pg_catalog.pg_control_system() s)::text as system,
  pg_catalog.current_database()::text as database,
  pg_catalog.current_setting('server_version_num')::int as version
"""
_MOMENT: Final = """
select pg_catalog.clock_timestamp() as now, pg_catalog.pg_postmaster_start_time() as started,
  pg_catalog.pg_backend_pid() as pid,
  (select d.stats_reset from pg_catalog.pg_stat_database d
    where d.datname = pg_catalog.current_database()) as since
"""
_TABLES: Final = """
select t.schemaname || '.' || t.tablename as name,
  coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) as changes
from pg_catalog.pg_publication_tables t
left join pg_catalog.pg_stat_user_tables s
  on s.schemaname = t.schemaname and s.relname = t.tablename
where t.pubname = %s order by 1
"""
_PLACE: Final = """
select pg_catalog.quote_ident(n.nspname) as schema from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""
