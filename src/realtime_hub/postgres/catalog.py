"""What PostgreSQL's catalog says of tables: those of the stream, and those published now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from realtime_hub.changes import (
    Collation,
    Column,
    ReplicaIdentity,
    Row,
    Table,
    TableName,
    Types,
)
from realtime_hub.errors import TableNotPublishedError
from realtime_hub.postgres.facts import (
    Attribute,
    Facts,
    RelationFacts,
    facts_by_name,
    facts_by_oid,
    fetch_one,
)
from realtime_hub.postgres.flights import SingleFlight
from realtime_hub.postgres.generated import Generation
from realtime_hub.postgres.pool import Pool
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES
from realtime_hub.wire.pgoutput import Relation, RelationColumn

_LONGEST_NAME: Final = 63
_bare_name: Final = re.compile(r"[a-z_][a-z0-9_]*").fullmatch

_PUBLICATION: Final = """
select coalesce(json_agg(json_build_array(schemaname, tablename)), '[]')
from pg_publication_tables
where pubname = %(publication)s
"""


class PostgresCatalog:
    """Describes tables from the catalog; every question is one round trip.

    ttl: seconds for which `published` and `publication` may answer as they did before; those
    who ask at the same time share one question.
    """

    def __init__(self, pool: Pool, publication: str, *, ttl: float = 1.0) -> None:
        self._pool = pool
        self._publication = publication
        self._tables = SingleFlight(self._published, ttl=ttl, final=TableNotPublishedError)
        self._names = SingleFlight(self._publication_now, ttl=ttl, final=TableNotPublishedError)
        self._generations: WeakKeyDictionary[Table, Generation] = WeakKeyDictionary()

    async def describe(self, relation: Relation) -> Table:
        """The Table of a Relation message.

        The Relation is right where the catalog, which may be ahead of the stream, says
        otherwise; stored generated columns that it lacks are added, unless the publication
        names the columns that it sends. Of a table that is gone only the Relation is known.

        Raises:
            DatabaseUnreachableError, SourceError
        """
        types = {column.type_oid for column in relation.columns}
        facts = await facts_by_oid(self._pool, self._publication, relation.oid, types)
        columns = [_described(relation, column, facts) for column in relation.columns]
        known = facts.relation
        if known is not None:
            columns = _with_generated(columns, known, facts.types)
        table = Table(
            oid=relation.oid,
            schema=relation.schema,
            name=relation.name,
            columns=tuple(columns),
            types=facts.types,
            identity=relation.identity,
            row_security=known is not None and known.row_security,
            known=known is not None,
        )
        self._note_generation(table, known)
        return table

    async def published(self, name: TableName) -> Table:
        """The table as subscribers would get it now.

        Raises:
            TableNotPublishedError: the publication does not send rows under this name.
            DatabaseUnreachableError, SourceError
        """
        if not all(_may_exist(part) for part in name):
            raise TableNotPublishedError(
                f"{_shown(name)} is not in publication {self._publication}"
            )
        return await self._tables.get(name)

    async def publication(self) -> frozenset[TableName]:
        """All tables under whose names the publication sends rows; none if it does not exist.

        Raises:
            DatabaseUnreachableError, SourceError
        """
        return await self._names.get(None)

    async def generate(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """The rows, in order, with the generated columns computed that pgoutput leaves out.

        A column stays UNKNOWN in rows that lack what its expression reads, in rows for which
        the expression fails, and where the expression calls a function that only works with a
        search path. `table` comes from `describe` or `published` of this catalog.

        Raises:
            DatabaseUnreachableError
        """
        generation = self._generations.get(table)
        return list(rows) if generation is None else await generation.fill(self._pool, rows)

    async def _published(self, name: TableName) -> Table:
        facts = await facts_by_name(self._pool, self._publication, name)
        known = facts.relation
        if known is None or known.published is None:
            raise TableNotPublishedError(_refusal(name, self._publication, facts))
        table = Table(
            oid=known.oid,
            schema=known.schema,
            name=known.name,
            columns=_published_columns(known, known.published, facts.types),
            types=facts.types,
            identity=known.identity,
            row_security=known.row_security,
        )
        self._note_generation(table, known)
        return table

    async def _publication_now(self, _: None) -> frozenset[TableName]:
        names = await fetch_one(self._pool, _PUBLICATION, {"publication": self._publication})
        return frozenset(TableName(schema, name) for schema, name in names)

    def _note_generation(self, table: Table, known: RelationFacts | None) -> None:
        if known is not None and any(column.generated for column in table.columns):
            self._generations[table] = Generation.of(table, known.attributes)


def _described(relation: Relation, column: RelationColumn, facts: Facts) -> Column:
    known = facts.relation
    attribute = _attribute(known, column.name)
    return Column(
        name=column.name,
        type_oid=column.type_oid,
        type_name=_type_name(column.type_oid, facts.types),
        typmod=column.typmod,
        identity=column.identity,
        primary_key=_in_key(relation, column, known),
        collation=Collation.DETERMINISTIC if attribute is None else attribute.collation,
    )


def _in_key(relation: Relation, column: RelationColumn, known: RelationFacts | None) -> bool:
    """With the default replica identity the stream itself tells the primary key.

    A key of which the publication hides a part is none: a row could not be told by it.
    """
    attributes = () if known is None else known.attributes
    key = {attribute.name for attribute in attributes if attribute.primary_key}
    if known is not None and known.listed and not key <= {c.name for c in relation.columns}:
        return False
    if relation.identity is ReplicaIdentity.DEFAULT:
        return column.identity
    return column.name in key


def _with_generated(columns: list[Column], known: RelationFacts, types: Types) -> list[Column]:
    """The Relation's columns and the stored generated ones that it lacks, in table order."""
    if known.listed:
        return columns
    result = list(columns)
    sent = {column.name for column in columns}
    for attribute in known.attributes:
        if attribute.stored and attribute.name not in sent:
            before = {a.name for a in known.attributes if a.number < attribute.number}
            place = max((i for i, c in enumerate(result) if c.name in before), default=-1)
            result.insert(place + 1, _column(attribute, types, generated=True))
    return result


def _published_columns(
    known: RelationFacts, published: frozenset[str], types: Types
) -> tuple[Column, ...]:
    columns = []
    key = {attribute.name for attribute in known.attributes if attribute.primary_key}
    for attribute in known.attributes:
        sent = attribute.name in published and attribute.sendable
        ours = attribute.stored and not sent and not known.listed
        if sent or ours:
            column = _column(attribute, types, generated=ours, whole_key=key <= published)
            columns.append(column)
    return tuple(columns)


def _column(
    attribute: Attribute, types: Types, *, generated: bool, whole_key: bool = True
) -> Column:
    return Column(
        name=attribute.name,
        type_oid=attribute.type_oid,
        type_name=_type_name(attribute.type_oid, types),
        typmod=attribute.typmod,
        identity=attribute.identity,
        primary_key=attribute.primary_key and whole_key,
        generated=generated,
        collation=attribute.collation,
    )


def _attribute(known: RelationFacts | None, name: str) -> Attribute | None:
    attributes = () if known is None else known.attributes
    return next((attribute for attribute in attributes if attribute.name == name), None)


def _type_name(oid: int, types: Types) -> str:
    known = types.get(oid) or BUILTIN_TYPES.get(oid)
    # Values of a type that is gone are sent as text.
    return "text" if known is None else known.name


def _refusal(name: TableName, publication: str, facts: Facts) -> str:
    known = facts.relation
    text = f"{_shown(name)} is not in publication {publication}"
    if not facts.publication_exists:
        return f"{text}, which does not exist; create it: create publication {_quoted(publication)}"
    if known is not None and known.named and known.kind == "p":
        return (
            f"{text} under its own name: a partitioned table's changes come under the names of its"
            " partitions unless the publication has publish_via_partition_root = true"
        )
    remedy = f"alter publication {_quoted(publication)} add table {_quoted_name(name)}"
    return f"{text}. A table (not a view) is added with: {remedy}"


def _may_exist(part: str) -> bool:
    """Clients may send anything; a name that no table can have is not worth a question."""
    try:
        return 0 < len(part.encode()) <= _LONGEST_NAME and "\0" not in part
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _shown(name: TableName) -> str:
    text = str(name)
    if len(text) > 2 * _LONGEST_NAME + 1:
        text = f"{text[:_LONGEST_NAME]}..."
    return text.encode(errors="replace").decode()


def _quoted_name(name: TableName) -> str:
    return f"{_quoted(name.schema)}.{_quoted(name.name)}"


def _quoted(name: str) -> str:
    return name if _bare_name(name) else '"' + name.replace('"', '""') + '"'
