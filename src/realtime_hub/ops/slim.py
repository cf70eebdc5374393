"""Take needless tables out of a publication, with a way back that is written down first.

The order of things in `apply`: manifest and rollback SQL are on disk; one transaction with a
short lock_timeout; the state is read in it and must be the one that was planned for; the
statements; the state is read again and must be the one that was meant; commit. Whatever is
interrupted leaves the state before or the state after, and `verify` says which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from realtime_hub.changes import TableName
from realtime_hub.errors import SettingsError, SlimRefusedError
from realtime_hub.ops import model
from realtime_hub.ops.audit.facts import AuditFacts, TableFacts
from realtime_hub.ops.audit.rules import judge
from realtime_hub.ops.audit.use import Use, usage
from realtime_hub.ops.connection import Connection, connected, listed
from realtime_hub.ops.publication import PublicationState, read_publication

MANIFEST: Final = "slim.json"
ROLLBACK: Final = "rollback.sql"
SCHEMA: Final = 1
_REASONS: Final = ("RH104", "RH105", "RH106", "RH101")
_LOCK_TIMEOUT: Final = "5s"


class Standing(StrEnum):
    """What a database's state is beside a manifest's."""

    BEFORE = "before"
    AFTER = "after"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table that may leave. use: `unresolved` ones need to be asked for."""

    table: TableName
    use: Use
    reasons: Sequence[str]
    saving: model.Saving | None

    def as_json(self) -> dict[str, Any]:
        return {
            "table": str(self.table),
            "schema": self.table.schema,
            "name": self.table.name,
            "use": self.use.value,
            "reasons": list(self.reasons),
            "saving": None if self.saving is None else self.saving.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Which tables leave the publication, and which stay because somebody listens."""

    publication: str
    candidates: Sequence[Candidate]
    kept: Sequence[TableName]

    @property
    def unresolved(self) -> list[Candidate]:
        return [item for item in self.candidates if item.use is Use.UNRESOLVED]

    def only(self, tables: Sequence[TableName]) -> Plan:
        """These tables of it.

        Raises:
            SlimRefusedError: one is no candidate.
        """
        strangers = [str(name) for name in tables if name not in {c.table for c in self.candidates}]
        if strangers:
            raise SlimRefusedError(f"{listed(strangers)}: not published, or somebody listens")
        chosen = [item for item in self.candidates if item.table in tables]
        return Plan(self.publication, chosen, self.kept)

    def as_json(self) -> dict[str, Any]:
        return {
            "publication": self.publication,
            "candidates": [item.as_json() for item in self.candidates],
            "kept": [str(name) for name in self.kept],
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was planned for which state; written before anything is changed."""

    written: str
    before: PublicationState
    tables: Sequence[TableName]

    @property
    def after(self) -> PublicationState:
        return self.before.without(self.tables)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "written": self.written,
            "tables": [list(table) for table in self.tables],
            "before": self.before.as_json(),
        }

    @classmethod
    def read(cls, path: Path) -> Self:
        """A manifest, from its file or the folder that it stands in.

        Raises:
            SettingsError: it can't be read, or is something else.
        """
        file = path / MANIFEST if path.is_dir() else path
        try:
            given: Mapping[str, Any] = json.loads(file.read_bytes())
            if given["schema"] != SCHEMA:
                raise SettingsError(f"{file} is a manifest of another version")
            return cls(
                written=str(given["written"]),
                before=PublicationState.from_json(given["before"]),
                tables=tuple(TableName(*map(str, table)) for table in given["tables"]),
            )
        except OSError as error:
            raise SettingsError(f"{file} can't be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SettingsError(f"{file} is not a manifest of `realtime-hub slim`") from None


def plan(facts: AuditFacts) -> Plan:
    """Which tables to take out, from the facts of an audit.

    Raises:
        SlimRefusedError: membership is not table by table.
    """
    if facts.all_tables:
        raise SlimRefusedError(
            "the publication is for all tables: make it anew with those that are used (RH103)"
        )
    findings = judge(facts)
    candidates, kept = [], []
    for table in facts.published:
        found = usage(facts, table)
        if found.use is Use.PROVEN or not table.explicit:
            kept.append(table.name)
            continue
        said = {f.rule: f.detail for f in findings if f.object == str(table.name)}
        reasons = [f"{rule}: {said[rule]}" for rule in _REASONS if rule in said]
        candidates.append(Candidate(table.name, found.use, reasons, _saving(facts, table)))
    return Plan(facts.publication, candidates, kept)


async def prepare(dsn: str, plan: Plan, folder: Path, *, force: bool = False) -> Manifest:
    """Write the manifest and the SQL of the way back; nothing is changed yet.

    Raises:
        SlimRefusedError: a table is unresolved and not forced, there is nothing to do, or the
            folder holds an earlier manifest.
        SettingsError: the folder can't be written.
    """
    if not plan.candidates:
        raise SlimRefusedError("no table to take out")
    if plan.unresolved and not force:
        names = [str(item.table) for item in plan.unresolved]
        raise SlimRefusedError(f"not resolved whether anybody listens: {listed(names)} (--force)")
    async with connected(dsn) as conn:
        before = await read_publication(conn, plan.publication)
    tables = tuple(item.table for item in plan.candidates)
    missing = [str(table) for table in tables if before.member(table) is None]
    if missing:
        raise SlimRefusedError(f"no longer published by name: {listed(missing)}")
    manifest = Manifest(datetime.now(UTC).isoformat(timespec="seconds"), before, tables)
    _write(folder, manifest, plan)
    return manifest


async def apply(dsn: str, manifest: Manifest) -> None:
    """Take the tables out; nothing happens if that was done already.

    Raises:
        SlimRefusedError: the publication is not as it was when the manifest was written.
        SourceError: PostgreSQL refused, or a lock was not to be had; nothing was changed.
    """
    async with connected(dsn, read_only=False) as conn, conn.transaction():
        state = await _begin(conn, manifest.before.name)
        if state == manifest.after:
            return
        _require(state == manifest.before, "the publication has changed since the manifest")
        await _run(conn, manifest.before.drop(manifest.tables))
        state = await read_publication(conn, manifest.before.name)
        _require(state == manifest.after, "the publication is not what was meant")


async def rollback(dsn: str, manifest: Manifest) -> None:
    """Put the tables back as they were; the options too. What others added since stays.

    Raises:
        SlimRefusedError: a table is published again, in another way.
        SourceError: PostgreSQL refused, or a lock was not to be had; nothing was changed.
    """
    before = manifest.before
    async with connected(dsn, read_only=False) as conn, conn.transaction():
        state = await _begin(conn, before.name)
        for table in manifest.tables:
            found = state.member(table)
            same = found is None or found == before.member(table)
            _require(same, f"{table} is published again, in another way")
        missing = [table for table in manifest.tables if state.member(table) is None]
        await _run(conn, before.restore(missing))
        state = await read_publication(conn, before.name)
        restored = all(state.member(table) == before.member(table) for table in manifest.tables)
        _require(restored and state.options == before.options, "the state is not what it was")


async def verify(dsn: str, manifest: Manifest) -> tuple[Standing, PublicationState]:
    """Which of the manifest's states the database is in."""
    async with connected(dsn) as conn:
        state = await read_publication(conn, manifest.before.name)
    if state == manifest.after:
        return Standing.AFTER, state
    return (Standing.BEFORE if state == manifest.before else Standing.OTHER), state


def rollback_script(manifest: Manifest) -> str:
    """The way back as SQL for psql, should this program not be at hand."""
    statements = manifest.before.restore(manifest.tables)
    body = "\n".join(f"{statement};" for statement in statements)
    return f"begin;\nset local lock_timeout = '{_LOCK_TIMEOUT}';\n{body}\ncommit;\n"


async def _begin(conn: Connection, publication: str) -> PublicationState:
    """The state at the transaction's begin; no lock is waited for longer than a moment."""
    await conn.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'".encode())
    return await read_publication(conn, publication)


async def _run(conn: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        await conn.execute(statement.encode())


def _require(met: bool, reason: str) -> None:
    if not met:
        raise SlimRefusedError(f"{reason}; nothing was changed")


def _saving(facts: AuditFacts, table: TableFacts) -> model.Saving | None:
    rate = facts.per_minute(table)
    return None if rate is None else model.unpublishing(rate * 60)


def _write(folder: Path, manifest: Manifest, plan: Plan) -> None:
    if (folder / MANIFEST).exists():
        raise SlimRefusedError(f"{folder} holds a manifest already: choose another folder")
    document = manifest.as_json() | {"plan": plan.as_json()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _durably(folder / ROLLBACK, rollback_script(manifest))
        _durably(folder / MANIFEST, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise SettingsError(f"{folder} can't be written: {error.strerror}") from None


def _durably(path: Path, text: str) -> None:
    """Write a file that is there after a power cut, or not at all."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
