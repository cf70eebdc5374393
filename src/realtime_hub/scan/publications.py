"""What SQL migrations say of publications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pglast import ast, parse_sql
from pglast.enums import AlterPublicationAction, ObjectType
from pglast.parser import ParseError

from realtime_hub.postgres.plpgsql import executed_by
from realtime_hub.postgres.statements import objects_of, statements_of
from realtime_hub.scan.model import Statement

_ACTIONS: Final[dict[Any, str]] = {
    AlterPublicationAction.AP_AddObjects: "add",
    AlterPublicationAction.AP_DropObjects: "drop",
    AlterPublicationAction.AP_SetObjects: "set",
}


def statements(file: str, text: str) -> list[Statement]:
    """All statements about publications, those within DO blocks too."""
    if "publication" not in text.lower():
        return []
    return [
        found
        for statement, line in statements_of(text)
        if statement is not None
        for found in _of(file, line, statement, text)
    ]


def _of(file: str, line: int, statement: Any, text: str) -> Iterator[Statement]:
    match statement:
        case ast.CreatePublicationStmt():
            names = ["*"] if statement.for_all_tables else _names(statement.pubobjects)
            yield Statement(file, line, "create", names, str(statement.pubname))
        case ast.AlterPublicationStmt():
            action = _ACTIONS[statement.action]
            names = _names(statement.pubobjects)
            yield Statement(file, line, action, names, str(statement.pubname))
        case ast.DropStmt() if statement.removeType == ObjectType.OBJECT_PUBLICATION:
            for each in statement.objects or ():
                yield Statement(file, line, "drop publication", [], each.sval)
        case ast.DoStmt():
            yield from _of_block(file, line, statement, text)


def _of_block(file: str, line: int, statement: Any, text: str) -> Iterator[Statement]:
    body = next((arg.arg.sval for arg in statement.args if arg.defname == "as"), "")
    try:
        texts = executed_by(body).statements
    except ParseError:
        return
    for each in texts:
        try:
            parsed: Any = parse_sql(each)
        except ParseError:
            continue
        for raw in parsed:
            yield from _of(file, _line_of(each, text, line), raw.stmt, text)


def _line_of(statement: str, text: str, line: int) -> int:
    """Where a block's statement stands, if it is written there as it is executed."""
    before = "".join(text.splitlines(keepends=True)[: line - 1])
    place = text.find(statement.strip(), len(before))
    return line if place < 0 else text.count("\n", 0, place) + 1


def _names(objects: Any) -> list[str]:
    """`schema.table`, or `schema.*` for all of a schema."""
    found = []
    for table, schema in objects_of(objects):
        if table is None:
            found.append(f"{schema}.*")
        else:
            found.append(table.name if table.schema == "public" else f"{table.schema}.{table.name}")
    return found
