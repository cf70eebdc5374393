"""Many short transactions in one round trip, through libpq's pipeline mode.

Each ends with a Sync of its own, so that one that fails fails alone, and is rolled back: no
setting outlives it, not even one that a policy's function sets for the session.
Format: PostgreSQL documentation, "libpq, Pipeline Mode".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

import psycopg
from psycopg import pq
from psycopg.generators import fetch_many, pipeline_communicate

from realtime_hub.auth.probes import Parameters, Probe, Statement
from realtime_hub.postgres.pool import Connection

_Command: TypeAlias = Callable[[], None]

_BEGIN: Final = b"begin isolation level repeatable read, read only"
_SETTINGS: Final = """
select pg_catalog.set_config('search_path', $1, true),
       pg_catalog.set_config('statement_timeout', $2, true),
       pg_catalog.set_config('lock_timeout', $3, true),
       pg_catalog.set_config('request.jwt.claims', $4, true),
       pg_catalog.set_config('request.jwt.claim.sub', $5, true),
       pg_catalog.set_config('request.jwt.claim.role', $6, true),
       pg_catalog.set_config('request.jwt.claim', '', true),
       pg_catalog.set_config('row_security', 'on', true),
       pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', true)
"""
_ROLE: Final = "select pg_catalog.set_config('role', $1, true)"
_PREPARING: Final = b"""
select pg_catalog.set_config('search_path', $1, true),
       pg_catalog.set_config('statement_timeout', '1s', true),
       pg_catalog.set_config('lock_timeout', '200ms', true)
"""
_UNLOCK: Final = b"select pg_catalog.pg_advisory_unlock_all()"
_MAX_PREPARED: Final = 256
_LOST: Final = (b"FATAL", b"PANIC")


@dataclass(frozen=True, slots=True)
class Listener:
    """As whom a probe is asked. settings: `search_path`, `statement_timeout`, `lock_timeout`,
    and the claims, in the order of the statement that sets them."""

    role: bytes
    settings: Parameters


@dataclass(frozen=True, slots=True)
class Answer:
    """visible: the snapshot saw the change. values: what the probe told beside that, in text
    form. error: the SQLSTATE if the probe failed."""

    visible: bool = True
    verdict: bool = False
    error: str | None = None
    values: Parameters = ()


@dataclass(slots=True)
class _Prepared:
    """The statements that a connection has, by their text."""

    names: dict[str, bytes] = field(default_factory=dict)
    count: int = 0


class Conversations:
    """Asks probes on connections, which keep the statements that were prepared there.

    Statements are prepared with the gateway's own rights: a policy may name what lies in
    schemas that the role can't reach, as it does when PostgreSQL itself applies it.
    """

    def __init__(self, search_path: str) -> None:
        self._search_path = search_path.encode()
        self._prepared: WeakKeyDictionary[Connection, _Prepared] = WeakKeyDictionary()

    async def ask(
        self, conn: Connection, questions: Sequence[tuple[Probe, Listener]]
    ) -> list[Answer]:
        """The answers, in order.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        prepared = self._prepared.setdefault(conn, _Prepared())
        broken = await self._prepare(conn, prepared, [probe for probe, _ in questions])
        ready = [q for q in questions if not broken.keys() & _queries(q[0])]
        groups = [_asking(conn, prepared, probe, listener) for probe, listener in ready]
        groups.append([partial(conn.pgconn.send_query_params, _UNLOCK, None)])
        results = iter(await _exchange(conn, groups))
        answers = []
        for probe, _ in questions:
            error = next((broken[query] for query in _queries(probe) if query in broken), None)
            answers.append(_answer(probe, next(results)) if error is None else Answer(error=error))
        return answers

    def forget(self, conn: Connection, probe: Probe) -> None:
        """Prepare a probe's statements anew when they are needed next."""
        prepared = self._prepared.get(conn)
        for query in _queries(probe):
            if prepared is not None:
                prepared.names.pop(query, None)

    async def _prepare(
        self, conn: Connection, prepared: _Prepared, probes: Sequence[Probe]
    ) -> dict[str, str]:
        """Prepare what the connection does not have yet; returns the SQLSTATEs of failures."""
        wanted = dict.fromkeys([_SETTINGS, _ROLE])
        for probe in probes:
            wanted |= dict.fromkeys(_queries(probe))
        missing = [query for query in wanted if query not in prepared.names]
        if not missing:
            return {}
        groups = []
        if len(prepared.names) + len(missing) > _MAX_PREPARED:
            missing = list(wanted)
            groups = [self._deallocating(conn, name) for name in prepared.names.values()]
            prepared.names.clear()
        first = len(groups)
        for query in missing:
            prepared.count += 1
            prepared.names[query] = b"hub_%d" % prepared.count
            groups.append(self._preparing(conn, query, prepared.names[query]))
        results = await _exchange(conn, groups)
        broken = {}
        for query, group in zip(missing, results[first:], strict=True):
            if (error := _error(group)) is not None:
                broken[query] = error
                del prepared.names[query]
        return broken

    def _preparing(self, conn: Connection, query: str, name: bytes) -> list[_Command]:
        send = conn.pgconn.send_query_params
        path = b"" if query in (_SETTINGS, _ROLE) else self._search_path
        return [
            partial(send, _BEGIN, None),
            partial(send, _PREPARING, [path]),
            partial(conn.pgconn.send_prepare, name, query.encode()),
        ]

    def _deallocating(self, conn: Connection, name: bytes) -> list[_Command]:
        return [partial(conn.pgconn.send_query_params, b"deallocate " + name, None)]


def _queries(probe: Probe) -> set[str]:
    queries = {probe.verdict.query}
    return queries if probe.before is None else queries | {probe.before.query}


def _asking(
    conn: Connection, prepared: _Prepared, probe: Probe, listener: Listener
) -> list[_Command]:
    def run(query: str, parameters: Parameters) -> _Command:
        return partial(conn.pgconn.send_query_prepared, prepared.names[query], parameters)

    statements = [Statement(_SETTINGS, listener.settings)]
    if probe.before is not None:
        statements.append(probe.before)
    statements += [Statement(_ROLE, (listener.role,)), probe.verdict]
    return [
        partial(conn.pgconn.send_query_params, _BEGIN, None),
        *(run(statement.query, statement.parameters) for statement in statements),
    ]


def _answer(probe: Probe, results: Sequence[pq.abc.PGresult]) -> Answer:
    error = _error(results)
    if error is not None:
        return Answer(error=error)
    verdict = results[-1]
    visible, holds = (verdict.get_value(0, i) == b"t" for i in (0, 1))
    if probe.before is not None:
        before = results[2]
        visible = before.get_value(0, 0) == b"t"
        holds = holds and before.get_value(0, 1) == b"t"
    values = tuple(verdict.get_value(0, i) for i in range(1, verdict.nfields))
    return Answer(visible, visible and holds, values=values)


def _error(results: Sequence[pq.abc.PGresult]) -> str | None:
    """The SQLSTATE of the statement that failed; those after it were not executed."""
    for result in results:
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
            severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
            if not sqlstate or severity in _LOST:  # policies may raise any SQLSTATE themselves
                # As libpq itself would say it, so that the pool looks at its other connections.
                raise psycopg.OperationalError("the connection was lost while policies were asked")
            return sqlstate
    return None


async def _exchange(
    conn: Connection, groups: Sequence[Sequence[_Command]]
) -> list[list[pq.abc.PGresult]]:
    """Send each group with a Sync, and a rollback with another; the results by group."""
    pgconn = conn.pgconn
    commands: deque[_Command] = deque()
    for group in groups:
        commands.extend(group)
        commands.append(pgconn.pipeline_sync)
        commands.append(partial(pgconn.send_query_params, b"rollback", None))
        commands.append(pgconn.pipeline_sync)
    total = len(commands)
    pgconn.enter_pipeline_mode()
    results = await conn.wait(pipeline_communicate(pgconn, commands))
    while len(results) < total:
        results.append(await conn.wait(fetch_many(pgconn)))
    pgconn.exit_pipeline_mode()
    answers = []
    place = 0
    for group in groups:
        answers.append(
            [result for found in results[place : place + len(group)] for result in found]
        )
        place += len(group) + 3
    return answers
