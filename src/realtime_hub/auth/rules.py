"""What the facts of a table mean for one version of it, and what was asked under them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from realtime_hub.auth.expressions import Functions
from realtime_hub.auth.kept import Entry, Kept
from realtime_hub.auth.policies import RoleRule, asked_only, rule_for
from realtime_hub.auth.probes import Parameters
from realtime_hub.auth.rights import TableFacts
from realtime_hub.auth.scope import SYSTEM_COLUMNS
from realtime_hub.changes import Absent, Row, Table
from realtime_hub.errors import UndecidedError
from realtime_hub.hub.ports import Rights


class TableRules:
    """Rights and rules by role. kept: answers about single identities; they end with the
    facts."""

    def __init__(self, table: Table, facts: TableFacts) -> None:
        self.facts = facts
        self._table = table
        self._rights: dict[str, Rights] = {}
        self._rules: dict[str, RoleRule] = {}
        self._lacking: dict[str, list[int] | None] = {}
        self.kept = Kept()
        self._asking: dict[Hashable, asyncio.Future[Entry | None]] = {}

    def told(
        self,
        who: Hashable,
        claims: Mapping[str, Any],
        ask: Callable[[], asyncio.Future[Parameters | None]],
    ) -> asyncio.Future[Entry | None]:
        """What the parts of a rule come to, asked for unless they are on their way; None if one
        of them raises, or can't be read here."""
        told = self._asking.get(who)
        if told is not None:
            return told
        loop = asyncio.get_running_loop()
        told = self._asking[who] = loop.create_future()
        asked_at = loop.time()

        def take(values: asyncio.Future[Parameters | None]) -> None:
            del self._asking[who]
            if values.cancelled() or values.exception() is not None:
                told.set_exception(values.exception() or UndecidedError("given up"))
                return
            found = values.result()
            entry = None if found is None else Entry.read(claims, found, asked_at)
            if entry is None:
                self.kept.refuse(who, loop.time())
            else:
                self.kept.keep(who, entry, loop.time())
            told.set_result(entry)

        ask().add_done_callback(take)
        return told

    def reads(self, table: int) -> bool:
        """Whether kept answers may depend on this table."""
        return self.facts.reads is not None and table in self.facts.reads.tables

    def rights(self, role: str) -> Rights:
        found = self._rights.get(role)
        if found is None:
            found = self._rights[role] = self.facts.rights(self._table, role)
        return found

    def rule(self, role: str) -> RoleRule:
        found = self._rules.get(role)
        if found is None:
            known = self.facts.roles.get(role)
            functions = Functions() if known is None else known.functions
            reads = self.facts.reads
            keepable = None if reads is None else reads.claims
            found = rule_for(self.facts.policies, role, self._table, functions, keepable)
            if not self._same_columns():
                found = asked_only(found)
            self._rules[role] = found
        return found

    def _same_columns(self) -> bool:
        """Whether columns may be known by their names. The catalog can be ahead of the stream:
        what was renamed, or dropped and added, no longer comes in the same order."""
        now = [name for name in self.facts.columns if name in self._table.index]
        common = frozenset(now)
        return now == [c.name for c in self._table.columns if c.name in common]

    def lacks(self, role: str, row: Row) -> bool:
        """Whether the policies may read a column that the row does not carry."""
        if role not in self._lacking:
            self._lacking[role] = self._needed(self.rule(role))
        needed = self._lacking[role]
        return needed is None or any(isinstance(row[index], Absent) for index in needed)

    def _needed(self, rule: RoleRule) -> list[int] | None:
        """Indexes of the columns that a rule may read; None if one is never in a change."""
        columns, reads = self.facts.columns, rule.reads
        if reads is not None and (SYSTEM_COLUMNS - set(columns)) & reads:
            return None
        wanted = [name for name in columns if reads is None or name in reads]
        if not all(name in self._table.index for name in wanted):
            return None
        return [self._table.index[name] for name in wanted]
