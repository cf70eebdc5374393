"""What migration files make of a publication: the last state counts.

A table that was added in a dashboard is not in any file, so the word for it is *not in
migrations*, never *unknown* or *wrong*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pglast import ast, parse_sql
from pglast.enums import AlterPublicationAction, ObjectType
from pglast.parser import ParseError

from realtime_hub.changes import TableName
from realtime_hub.errors import SettingsError
from realtime_hub.postgres.plpgsql import executed_by
from realtime_hub.postgres.statements import objects_of, statements_of, table_of

_MAX_BYTES: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table was added: a path relative to the folder, POSIX, and a line from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class MigrationFacts:
    """The publication after the last file. unresolved: what can't be followed, with its place."""

    files: int
    defined: bool = False
    all_tables: bool = False
    schemas: frozenset[str] = frozenset()
    tables: dict[TableName, Place] = field(default_factory=dict)
    unresolved: Sequence[str] = ()

    def holds(self, table: TableName) -> bool:
        return self.all_tables or table.schema in self.schemas or table in self.tables


def read_migrations(folder: Path, publication: str) -> MigrationFacts:
    """Follow all `*.sql` files under the folder, in the order of their names.

    Raises:
        SettingsError: there is no such folder, or a file can't be read.
    """
    if not folder.is_dir():
        raise SettingsError(f"no folder of migrations at {folder}")
    files = sorted(path for path in folder.rglob("*.sql") if path.is_file())
    following = _Following(publication)
    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            if path.stat().st_size > _MAX_BYTES:
                following.unresolved.append(f"{name}: too large")
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise SettingsError(f"{path} can't be read: {error.strerror}") from None
        following.file(name, text)
    return following.facts(len(files))


class _Following:
    def __init__(self, publication: str) -> None:
        self._publication = publication
        self._defined = False
        self._all = False
        self._schemas: set[str] = set()
        self._tables: dict[TableName, Place] = {}
        self.unresolved: list[str] = []

    def facts(self, files: int) -> MigrationFacts:
        return MigrationFacts(
            files=files,
            defined=self._defined,
            all_tables=self._all,
            schemas=frozenset(self._schemas),
            tables=dict(self._tables),
            unresolved=tuple(self.unresolved),
        )

    def file(self, name: str, text: str) -> None:
        for statement, line in statements_of(text):
            place = Place(name, line)
            if statement is None:
                self.unresolved.append(f"{name}:{line}: not understood")
            else:
                self._apply(statement, place)

    def _apply(self, statement: Any, place: Place) -> None:
        match statement:
            case ast.CreatePublicationStmt() if statement.pubname == self._publication:
                self._reset(all_tables=bool(statement.for_all_tables), defined=True)
                self._add(statement.pubobjects, place)
            case ast.AlterPublicationStmt() if statement.pubname == self._publication:
                self._alter(statement, place)
            case ast.DropStmt():
                self._drop(statement)
            case ast.RenameStmt() if statement.renameType == ObjectType.OBJECT_TABLE:
                old = table_of(statement.relation)
                if old in self._tables:
                    moved = TableName(old.schema, str(statement.newname))
                    self._tables[moved] = self._tables.pop(old)
            case ast.DoStmt():
                self._block(statement, place)

    def _alter(self, statement: Any, place: Place) -> None:
        self._defined = True
        match statement.action:
            case AlterPublicationAction.AP_AddObjects:
                self._add(statement.pubobjects, place)
            case AlterPublicationAction.AP_SetObjects if statement.pubobjects:
                self._reset(all_tables=False, defined=True)
                self._add(statement.pubobjects, place)
            case AlterPublicationAction.AP_DropObjects:
                for table, schema in objects_of(statement.pubobjects):
                    self._tables.pop(table, None) if table else self._schemas.discard(schema)

    def _add(self, objects: Any, place: Place) -> None:
        for table, schema in objects_of(objects):
            if table:
                self._tables[table] = place
            else:
                self._schemas.add(schema)

    def _drop(self, statement: Any) -> None:
        if statement.removeType == ObjectType.OBJECT_PUBLICATION:
            if any(item.sval == self._publication for item in statement.objects):
                self._reset(all_tables=False, defined=False)
        elif statement.removeType == ObjectType.OBJECT_TABLE:
            for parts in statement.objects:
                names = [part.sval for part in parts]
                self._tables.pop(TableName((["public", *names])[-2], names[-1]), None)

    def _block(self, statement: Any, place: Place) -> None:
        body = next((arg.arg.sval for arg in statement.args if arg.defname == "as"), "")
        try:
            executed = executed_by(body)
        except ParseError:
            if "publication" in body.lower():
                self.unresolved.append(f"{place.file}:{place.line}: a DO block not understood")
            return
        for text in executed.statements:
            try:
                found = parse_sql(text)
            except ParseError:
                continue
            for raw in found:
                self._apply(raw.stmt, place)
        self.unresolved += [
            f"{place.file}:{place.line}: execute {text}"
            for text in executed.unresolved
            if "publication" in text.lower()
        ]

    def _reset(self, *, all_tables: bool, defined: bool) -> None:
        self._tables.clear()
        self._schemas.clear()
        self._all = all_tables
        self._defined = defined
