"""Who may see what, as PostgreSQL's grants and policies say; implements `hub.ports.Authorizer`.

Rights and rules are read for each version of a Table, in stream order, for all roles that were
ever admitted. What a rule's compiled form can't tell with certainty is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson
import structlog

from realtime_hub.auth.asking import Asker, AskingStatistics, key_probe, row_probe
from realtime_hub.auth.expressions import Functions, Uncertain
from realtime_hub.auth.policies import (
    RoleRule,
    read_columns,
    read_functions,
    read_policies,
    rule_for,
)
from realtime_hub.auth.rights import NOTHING, existing_role, read_rights
from realtime_hub.changes import Absent, Change, Kind, ReplicaIdentity, Row, Table
from realtime_hub.errors import DatabaseUnreachableError, UndecidedError
from realtime_hub.hub.ports import Judgement, Rights, Verdict
from realtime_hub.identity import Identity
from realtime_hub.postgres.pool import Pool

log = structlog.get_logger(__name__)

# Role attributes and memberships, and the bodies of all functions that are not PostgreSQL's own.
_FINGERPRINT: Final = """
select pg_catalog.md5(pg_catalog.concat(
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', m.roleid, m.member, m.xmin), ','
            order by m.roleid, m.member, m.xmin::pg_catalog.text)
     from pg_catalog.pg_auth_members m),
  (select pg_catalog.string_agg(
            pg_catalog.concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolbypassrls), ','
            order by r.oid)
     from pg_catalog.pg_roles r),
  (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', p.oid, p.xmin), ',' order by p.oid)
     from pg_catalog.pg_proc p where p.oid >= 16384)
))
"""


@dataclass(slots=True)
class AuthorizationStatistics:
    """Verdicts, by how they came about. compiled: without asking. See AskingStatistics for
    what was asked; unchecked_deletes: keys of deleted rows given under `compatible`."""

    compiled: int = 0
    unchecked_deletes: int = 0
    asking: AskingStatistics = field(default_factory=AskingStatistics)


@dataclass(slots=True)
class _TableRules:
    """What is known for one version of a Table. columns: all it has now, published or not."""

    table: Table
    columns: tuple[str, ...] = ()
    rights: dict[str, Rights] = field(default_factory=dict)
    rules: dict[str, RoleRule] = field(default_factory=dict)


class PostgresAuthorizer:
    """Answers from grants and policies.

    strict_deletes: a deleted row's key goes only to who provably could see the row.
    statement_timeout: seconds for one asked policy. patience: seconds that a question waits
    for PostgreSQL. poll_interval: seconds between looks at role memberships and functions.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        strict_deletes: bool = False,
        statement_timeout: float = 2.0,
        patience: float = 10.0,
        poll_interval: float = 1.0,
    ) -> None:
        self._pool = pool
        self._strict_deletes = strict_deletes
        self._statement_timeout = statement_timeout
        self._patience = patience
        self._poll_interval = poll_interval
        self._roles: set[str] = set()
        self._functions = Functions()
        self._tables: dict[int, _TableRules] = {}
        self._askers: dict[int, Asker] = {}
        self._lock = asyncio.Lock()
        self._fingerprint: object = None
        self.statistics = AuthorizationStatistics()

    async def aclose(self) -> None:
        """Give up all questions; their futures fail."""
        for asker in self._askers.values():
            await asker.aclose()

    # The port

    async def table_changed(self, table: Table) -> None:
        async with self._lock:
            self._tables[table.oid] = await self._read(table, self._roles)

    async def admit(self, identity: Identity, table: Table) -> Rights:
        await self._know(identity.role)
        return (await read_rights(self._pool, table, [identity.role]))[identity.role]

    def rights(self, table: Table, role: str) -> Rights:
        known = self._tables.get(table.oid)
        if known is None or known.table is not table:
            return NOTHING
        return known.rights.get(role, NOTHING)

    def judge(
        self, change: Change, identities: Collection[Identity]
    ) -> Mapping[Identity, Judgement]:
        known = self._tables.get(change.table.oid)
        if known is None or known.table is not change.table:
            return dict.fromkeys(identities, Verdict.WITHHELD)
        judge = self._judge_delete if change.kind is Kind.DELETE else self._judge_row
        return {identity: judge(known, change, identity) for identity in identities}

    # Judging

    def _judge_row(self, known: _TableRules, change: Change, identity: Identity) -> Judgement:
        rule = known.rules[identity.role]
        if change.new is None or rule.expression is None:
            return Verdict.WITHHELD
        new = self._holds(known, rule, change, change.new, identity)
        if change.kind is not Kind.UPDATE or change.table.identity is not ReplicaIdentity.FULL:
            return _verdict(new, Verdict.NEW_ONLY)
        if change.old is None or new is False:
            return _verdict(new, Verdict.NEW_ONLY)
        return _both(new, self._holds(known, rule, change, change.old, identity))

    def _judge_delete(self, known: _TableRules, change: Change, identity: Identity) -> Judgement:
        """The old row decides where it is known as far as the policies read it."""
        table, rule, old = change.table, known.rules[identity.role], change.old
        if (
            old is None
            or not table.key
            or not known.rights[identity.role].columns.issuperset(table.key)
        ):
            return Verdict.WITHHELD
        if rule.expression is None:
            return self._unchecked_delete()
        if _lacks(known, rule, old):
            return self._unchecked_delete()
        return _verdict(self._holds(known, rule, change, old, identity), Verdict.NEW_ONLY)

    def _unchecked_delete(self) -> Verdict:
        if self._strict_deletes:
            return Verdict.WITHHELD
        self.statistics.unchecked_deletes += 1
        return Verdict.NEW_ONLY

    def _holds(
        self, known: _TableRules, rule: RoleRule, change: Change, row: Row, identity: Identity
    ) -> bool | asyncio.Future[bool]:
        if rule.compiled is not None:
            with suppress(Uncertain):
                verdict = rule.compiled.evaluate(row, _claims(identity.claims))
                self.statistics.compiled += 1
                return verdict is True
        return self._ask(known, rule, change, row, identity)

    def _ask(
        self, known: _TableRules, rule: RoleRule, change: Change, row: Row, identity: Identity
    ) -> bool | asyncio.Future[bool]:
        table = change.table
        if not _lacks(known, rule, row):
            probe = row_probe(table, known.columns, row, rule.expression or "false", change.xid)
        elif row is change.new and table.key:
            probe = key_probe(table, row, change.xid)
        else:
            return False  # an old row is in no table any more
        asker = self._askers.get(table.oid)
        if asker is None:
            asker = self._askers[table.oid] = Asker(
                self._pool,
                self.statistics.asking,
                table=str(table.full_name),
                statement_timeout=self._statement_timeout,
                patience=self._patience,
            )
        return asker.ask(probe, identity)

    # Reading

    async def watch(self) -> None:
        """Look for changed memberships and functions; runs until cancelled."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    row = await (await conn.execute(_FINGERPRINT)).fetchone()
                if row != self._fingerprint:
                    await self._read_again()
                    self._fingerprint = row
            except DatabaseUnreachableError as error:
                log.warning("memberships_unreadable", error=str(error))
            await asyncio.sleep(self._poll_interval)

    async def _read_again(self) -> None:
        async with self._lock:
            self._functions = await read_functions(self._pool)
            for oid, known in list(self._tables.items()):
                self._tables[oid] = await self._read(known.table, self._roles)

    async def _know(self, role: str) -> None:
        """From now on rights are read for this role too; returns when they have been."""
        if role in self._roles:
            return
        async with self._lock:
            if role in self._roles:
                return
            await existing_role(self._pool, role)
            roles = self._roles | {role}
            for oid, known in list(self._tables.items()):
                self._tables[oid] = await self._read(known.table, roles)
            self._roles = roles

    async def _read(self, table: Table, roles: Iterable[str]) -> _TableRules:
        roles = list(roles)
        rights = await read_rights(self._pool, table, roles)
        known = _TableRules(table, rights=rights)
        if any(role.judged for role in rights.values()):
            if self._fingerprint is None:
                self._functions = await read_functions(self._pool)
            known.columns = await read_columns(self._pool, table)
            policies = await read_policies(self._pool, table, roles)
            known.rules = {role: rule_for(policies, role, table, self._functions) for role in roles}
        return known


def _lacks(known: _TableRules, rule: RoleRule, row: Row) -> bool:
    """Whether the policies may read a column that the row does not carry."""
    table = known.table
    for name in known.columns:
        if rule.reads is None or name in rule.reads:
            index = table.index.get(name)
            if index is None or isinstance(row[index], Absent):
                return True
    return False


@lru_cache(maxsize=10_000)
def _claims(text: str) -> Mapping[str, Any]:
    claims: dict[str, Any] = orjson.loads(text)
    return claims


def _verdict(holds: bool | asyncio.Future[bool], given: Verdict) -> Judgement:
    if isinstance(holds, bool):
        return given if holds else Verdict.WITHHELD
    return _then([holds], lambda answers: given if answers[0] else Verdict.WITHHELD)


def _both(new: bool | asyncio.Future[bool], old: bool | asyncio.Future[bool]) -> Judgement:
    if isinstance(new, bool) and isinstance(old, bool):
        return _joint([new, old])
    return _then([new, old], _joint)


def _joint(answers: list[bool]) -> Verdict:
    new, old = answers
    if not new:
        return Verdict.WITHHELD
    return Verdict.ALL if old else Verdict.NEW_ONLY


def _then(parts: list[bool | asyncio.Future[bool]], conclude: Any) -> asyncio.Future[Verdict]:
    """A promise of what the parts come to; the first failure is its own."""
    promise: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    open_parts = [part for part in parts if isinstance(part, asyncio.Future)]
    left = len(open_parts)

    def answered(part: asyncio.Future[bool]) -> None:
        nonlocal left
        left -= 1
        if promise.done():
            return
        if part.cancelled():
            promise.set_exception(UndecidedError("the question was given up"))
        elif (error := part.exception()) is not None:
            promise.set_exception(error)
        elif left == 0:
            values = [p if isinstance(p, bool) else p.result() for p in parts]
            promise.set_result(conclude(values))

    for part in open_parts:
        part.add_done_callback(answered)
    return promise
