"""SQL files, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pglast import parse_sql, split
from pglast.enums import PublicationObjSpecType
from pglast.parser import ParseError

from realtime_hub.changes import TableName


def objects_of(objects: Any) -> Iterator[tuple[TableName | None, str]]:
    """Tables and schemas that a publication statement names: a table, or None and a schema."""
    for item in objects or ():
        if item.pubobjtype == PublicationObjSpecType.PUBLICATIONOBJ_TABLES_IN_SCHEMA:
            yield None, item.name
        elif item.pubobjtype == PublicationObjSpecType.PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA:
            yield None, "public"
        elif item.pubtable is not None:
            yield table_of(item.pubtable.relation), ""
        elif item.name:
            yield TableName("public", item.name), ""


def table_of(relation: Any) -> TableName:
    """A RangeVar's name; `public` where no schema is given."""
    return TableName(relation.schemaname or "public", relation.relname)


def statements_of(text: str) -> Iterator[tuple[Any, int]]:
    """Each statement and its line; None for one that is about publications but not understood."""
    encoded = text.encode()
    try:
        statements: Any = parse_sql(text)
        for raw in statements:
            # The location of the first statement counts the blank lines before it.
            start = raw.stmt_location + _blank(encoded[raw.stmt_location :])
            yield raw.stmt, encoded[:start].count(b"\n") + 1
    except ParseError:
        yield from _one_by_one(text)


def _one_by_one(text: str) -> Iterator[tuple[Any, int]]:
    """A file that does not parse as a whole (psql's commands, say), piece by piece."""
    try:
        pieces = split(text, with_parser=False, only_slices=True)
    except ParseError:
        pieces = ()
    for piece in pieces:
        part = text[piece]
        line = text[: piece.start].count("\n") + 1
        try:
            for raw in parse_sql(part):
                yield raw.stmt, line
        except ParseError:
            if "publication" in part.lower():
                yield None, line
    if not pieces and "publication" in text.lower():
        yield None, 1


def _blank(text: bytes) -> int:
    """How many bytes of white space and comments a statement begins with."""
    position = 0
    while position < len(text):
        rest = text[position:]
        if rest[:1].isspace():
            position += 1
        elif rest[:2] == b"--":
            end = rest.find(b"\n")
            position += len(rest) if end < 0 else end
        else:
            break
    return position
