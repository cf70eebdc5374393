"""Who may see what, as PostgreSQL's grants and policies say; implements `hub.ports.Authorizer`.

Rights and rules are read whenever the stream describes a table anew, for all roles that were
ever admitted, and when the poll finds a change that the stream does not tell of. Parts of a rule
that have one value for each identity are asked once, and their answers kept as `auth.kept` says.
What the compiled form can't tell with certainty even so is asked, every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import structlog

from realtime_hub.auth.asking import SEARCH_PATH, Asker, AskingStatistics
from realtime_hub.auth.claims import alike, claims_of
from realtime_hub.auth.following import Following
from realtime_hub.auth.judgements import Holds, hand_on, verdict, verdict_of_both
from realtime_hub.auth.kept import Entry
from realtime_hub.auth.policies import RoleRule
from realtime_hub.auth.probes import (
    Parameters,
    Probe,
    parts_probe,
    table_probe,
    unaltered,
    value_probe,
)
from realtime_hub.auth.rights import (
    NOTHING,
    TableFacts,
    check_role,
    read_facts,
    read_fingerprint,
)
from realtime_hub.auth.rules import TableRules
from realtime_hub.auth.values import Uncertain
from realtime_hub.changes import Change, Kind, ReplicaIdentity, Row, Table
from realtime_hub.errors import DatabaseUnreachableError, UndecidedError, UnknownRoleError
from realtime_hub.hub.ports import Batch, Judgement, Rights, Verdict
from realtime_hub.identity import Identity
from realtime_hub.postgres.flights import SingleFlight
from realtime_hub.postgres.pool import Pool

log = structlog.get_logger(__name__)

_LOOKS: Final = 10
"""Polls that may fail before what they would have told is missed."""


@dataclass(slots=True)
class AuthorizationStatistics:
    """Verdicts, by how they came about; one serves all identities with the same claims.

    compiled: without asking. unobtainable: withheld, since the change lacks what a policy reads
    and nobody can tell it any more. unchecked_deletes: keys of deleted rows given under
    `compatible`. kept: of those compiled, with an answer that was kept. asking: see
    AskingStatistics.
    """

    compiled: int = 0
    kept: int = 0
    unobtainable: int = 0
    unchecked_deletes: int = 0
    asking: AskingStatistics = field(default_factory=AskingStatistics)


_AtOnce: TypeAlias = Callable[[Mapping[str, Any] | None], Verdict | None]
"""Decides for claims, or leaves it open."""


class PostgresAuthorizer:
    """Answers from grants and policies.

    strict_deletes: a deleted row's key goes only to who provably could see the row.
    statement_timeout: seconds for one asked policy. patience: seconds that a question waits
    for PostgreSQL. poll_interval: seconds between looks at what the stream does not tell of.
    search_path: where functions that policies call look for names. publications: those that the
    stream is read with; of tables in none of them changes are not told.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        strict_deletes: bool = False,
        statement_timeout: float = 2.0,
        patience: float = 10.0,
        poll_interval: float = 1.0,
        search_path: str = SEARCH_PATH,
        publications: Collection[str] = (),
    ) -> None:
        self._pool = pool
        self._publications = tuple(publications)
        self._strict_deletes = strict_deletes
        self._poll_interval = poll_interval
        self._roles: set[str] = set()
        self._facts: dict[int, TableFacts] = {}
        self._rules: WeakKeyDictionary[Table, TableRules] = WeakKeyDictionary()
        # Many join at once after a restart; what each asks for is the same.
        self._admissions: SingleFlight[tuple[int, str], TableFacts] = SingleFlight(
            lambda key: self._read(key[0], [key[1]]), ttl=0.0, final=UnknownRoleError
        )
        self._lock = asyncio.Lock()
        self._fingerprint = ""
        self._following = Following(patience=_LOOKS * poll_interval)
        self.statistics = AuthorizationStatistics()
        self._asker = Asker(
            pool,
            self.statistics.asking,
            statement_timeout=statement_timeout,
            patience=patience,
            search_path=search_path,
        )

    async def aclose(self) -> None:
        """Give up all questions; their futures fail."""
        await self._asker.aclose()

    # The port

    async def table_changed(self, table: Table) -> None:
        async with self._lock:
            self._facts[table.oid] = await self._read(table.oid, self._roles)
            self._rules[table] = TableRules(table, self._facts[table.oid])
            self._forget(table.oid)

    def follow(self, batch: Batch) -> None:
        now = asyncio.get_running_loop().time()
        kept = [rules for rules in self._rules.values() if rules.facts.reads is not None]
        if self._following.begins(batch, now):
            for rules in kept:
                rules.kept.clear(now)  # who knows what was written between
        if kept:
            written = {(change.table.oid, change.xid) for change in batch.changes}
            for rules in kept:
                for table, xid in written:
                    if rules.reads(table):
                        rules.kept.written(xid, now)

    async def admit(self, identity: Identity, table: Table) -> Rights:
        await self._know(identity.role)
        facts = await self._admissions.get((table.oid, identity.role))
        return facts.rights(table, identity.role)

    def rights(self, table: Table, role: str) -> Rights:
        rules = self._rules_of(table)
        return NOTHING if rules is None else rules.rights(role)

    def judge(
        self, change: Change, identities: Collection[Identity]
    ) -> Mapping[Identity, Judgement]:
        rules = self._rules_of(change.table)
        if rules is None:
            return dict.fromkeys(identities, Verdict.WITHHELD)
        at_once: dict[str, tuple[RoleRule, _AtOnce | None]] = {}
        judged: dict[Hashable, Judgement] = {}
        verdicts: dict[Identity, Judgement] = {}
        for identity in identities:
            role = identity.role
            if role not in at_once:
                at_once[role] = rules.rule(role), self._at_once(rules, change, role)
            rule, decide = at_once[role]
            # Equal for identities that see the same under the rule.
            group = role, alike(identity.claims, rule.claims)
            found = judged.get(group)
            if found is None:
                case = self._case(rules, rule, change, identity, group)
                found = None if decide is None else decide(case.claims)
                if found is None:
                    found = self._judge(case)
                judged[group] = found
            verdicts[identity] = found
        return verdicts

    # Judging

    def _rules_of(self, table: Table) -> TableRules | None:
        """The rules of this version of the table, by the newest facts."""
        rules = self._rules.get(table)
        if rules is None:
            return None
        facts = self._facts[table.oid]
        if rules.facts is not facts:
            rules = self._rules[table] = TableRules(table, facts)
        return rules

    def _at_once(self, rules: TableRules, change: Change, role: str) -> _AtOnce | None:
        """What decides for one identity where one row and a compiled rule do; None elsewhere."""
        rights, rule, row = rules.rights(role), rules.rule(role), change.new
        two_rows = change.kind is Kind.UPDATE and change.table.identity is ReplicaIdentity.FULL
        if row is None or two_rows or rule.expression is None or not rule.predicate.known:
            return None
        if not rights.reachable or not rights.judged:
            return None
        holds, statistics = rule.predicate.holds, self.statistics

        def decide(claims: Mapping[str, Any] | None) -> Verdict | None:
            if claims is None:
                return None
            try:
                verdict = Verdict.NEW_ONLY if holds(row, claims) else Verdict.WITHHELD
            except Uncertain:
                return None
            statistics.compiled += 1
            return verdict

        return decide

    def _judge(self, case: _Case) -> Judgement:
        rights = case.rules.rights(case.identity.role)
        if not rights.reachable:
            return Verdict.WITHHELD
        if not rights.judged:
            return Verdict.ALL
        if case.open:
            return self._judge_once_told(case)
        if case.change.kind is Kind.DELETE:
            return self._judge_delete(case)
        return self._judge_row(case)

    def _judge_row(self, case: _Case) -> Judgement:
        change = case.change
        if change.new is None or case.rule.expression is None:
            return Verdict.WITHHELD
        new = self._holds(case, change.new)
        full = change.table.identity is ReplicaIdentity.FULL
        if change.kind is not Kind.UPDATE or not full or change.old is None or new is False:
            return verdict(new, Verdict.NEW_ONLY)
        return verdict_of_both(new, self._holds(case, change.old))

    def _judge_delete(self, case: _Case) -> Judgement:
        """The old row decides where it is known as far as the policies read it."""
        change, role = case.change, case.identity.role
        old, key = change.old, change.table.key
        if old is None or not key or not case.rules.rights(role).columns.issuperset(key):
            return Verdict.WITHHELD
        if case.rule.expression is None:
            return Verdict.WITHHELD
        known = self._compiled(case, old)
        if known is None and case.rules.lacks(role, old):
            if self._strict_deletes:
                return Verdict.WITHHELD
            self.statistics.unchecked_deletes += 1
            return Verdict.NEW_ONLY
        return verdict(self._ask(case, old) if known is None else known, Verdict.NEW_ONLY)

    def _holds(self, case: _Case, row: Row) -> Holds:
        known = self._compiled(case, row)
        return self._ask(case, row) if known is None else known

    def _compiled(self, case: _Case, row: Row) -> bool | None:
        """Whether the row passes the policies; None if only PostgreSQL can tell."""
        claims = case.claims
        if claims is None or not case.rule.predicate.known:
            return None
        try:
            holds = case.rule.predicate.holds(row, claims)
        except Uncertain:
            return None
        self.statistics.compiled += 1
        return holds

    def _ask(self, case: _Case, row: Row) -> Holds:
        probe = self._probe(case, row)
        if probe is None:
            self.statistics.unobtainable += 1
            return False
        table = case.change.table
        return self._asker.ask(
            probe, case.identity, who=(table.oid, case.group), table=str(table.full_name)
        )

    def _probe(self, case: _Case, row: Row) -> Probe | None:
        change, columns = case.change, case.rules.facts.columns
        in_table = None
        if row is change.new:  # an old row is in no table any more
            in_table = table_probe(change.table, columns, row, change.xid)
        expression = case.rule.standalone
        if expression is None or case.rules.lacks(case.identity.role, row):
            return in_table
        probe = value_probe(change.table, columns, row, expression, change.xid, in_table)
        whole_rows = case.rule.reads is None
        return unaltered(probe, change.table, columns, change.xid) if whole_rows else probe

    # Parts that have one value for each identity

    def _case(
        self,
        rules: TableRules,
        rule: RoleRule,
        change: Change,
        identity: Identity,
        group: Hashable,
    ) -> _Case:
        claims = claims_of(identity.claims)
        if not rule.parts or claims is None or not rules.rights(identity.role).judged:
            return _Case(rules, rule, change, identity, group, claims)
        now = asyncio.get_running_loop().time()
        followed = self._following.covers(rules.facts.reads, change, now)
        entry = rules.kept.find(group, change.xid, now, followed=followed)
        if entry is not None:
            self.statistics.kept += 1
            return _Case(rules, rule, change, identity, group, entry.claims)
        untold = rules.kept.refused(group, now)
        return _Case(rules, rule, change, identity, group, claims, open=not untold)

    def _judge_once_told(self, case: _Case) -> Judgement:
        """Ask for the parts, or wait for who asks already; and judge what they make certain."""
        loop = asyncio.get_running_loop()
        promise: asyncio.Future[Verdict] = loop.create_future()
        told = case.rules.told(case.group, case.claims or {}, lambda: self._tell(case))

        def take(told: asyncio.Future[Entry | None]) -> None:
            if promise.done():
                return
            if told.cancelled() or told.exception() is not None:
                promise.set_exception(told.exception() or UndecidedError("given up"))
                return
            entry = told.result()
            if entry is not None and not entry.snapshot.sees(case.change.xid):
                judged = self._judge_once_told(case)  # it was asked for an earlier change
            else:
                claims = case.claims if entry is None else entry.claims
                judged = self._judge(replace(case, claims=claims, open=False))
            hand_on(judged, promise)

        told.add_done_callback(take)
        return promise

    def _tell(self, case: _Case) -> asyncio.Future[Parameters | None]:
        table, probe = case.change.table, parts_probe(case.rule.parts, case.change.xid)
        who = table.oid, case.group, "parts"
        return self._asker.tell(probe, case.identity, who=who, table=str(table.full_name))

    def _forget(self, table: int) -> None:
        """A table was described anew: what was asked of it before may be wrong by now."""
        now = asyncio.get_running_loop().time()
        for rules in self._rules.values():
            if rules.reads(table):
                rules.kept.clear(now)

    # Reading

    async def watch(self) -> None:
        """Look for what the stream does not tell of; runs until cancelled."""
        while True:
            try:
                await self._look()
            except DatabaseUnreachableError as error:
                log.warning("memberships_unreadable", error=str(error))
            await asyncio.sleep(self._poll_interval)

    async def _look(self) -> None:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            reads = [facts.reads.tables for facts in self._facts.values() if facts.reads]
            tables = frozenset(self._facts).union(*reads)
            fingerprint = await read_fingerprint(self._pool, tables, kept=bool(reads))
            if fingerprint != self._fingerprint:
                for oid in list(self._facts):
                    self._facts[oid] = await self._read(oid, self._roles)
                self._fingerprint = fingerprint
            self._following.looked_at = now

    async def _read(self, oid: int, roles: Collection[str]) -> TableFacts:
        return await read_facts(self._pool, oid, roles, self._publications)

    async def _know(self, role: str) -> None:
        """From now on rights are read for this role too; returns when they have been."""
        if role in self._roles:
            return
        async with self._lock:
            if role in self._roles:
                return
            await check_role(self._pool, role)
            roles = self._roles | {role}
            facts = {oid: await self._read(oid, roles) for oid in self._facts}
            self._facts |= facts
            self._roles = roles


@dataclass(frozen=True, slots=True)
class _Case:
    """A change judged for one identity, and with it for all of its group.

    claims: as the compiled rule reads them, with what is kept of PostgreSQL's answers. open:
    those are still to be asked for.
    """

    rules: TableRules
    rule: RoleRule
    change: Change
    identity: Identity
    group: Hashable
    claims: Mapping[str, Any] | None
    open: bool = False
