"""A publication's whole state: what `slim` compares, writes down, and restores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from realtime_hub.changes import TableName
from realtime_hub.errors import PublicationMissingError
from realtime_hub.ops.connection import Connection, identifier, quoted, rows

_OPERATIONS: Final = ("insert", "update", "delete", "truncate")
_GENERATED: Final = {"n": "none", "s": "stored"}


@dataclass(frozen=True, slots=True)
class Membership:
    """A table as it is published. columns: empty for all. filter: as PostgreSQL prints it."""

    schema: str
    name: str
    columns: Sequence[str] = ()
    filter: str = ""

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    def clause(self) -> str:
        """What follows ADD TABLE. ONLY: children of the table are members of their own."""
        columns = f" ({', '.join(map(identifier, self.columns))})" if self.columns else ""
        condition = f" where ({self.filter})" if self.filter else ""
        return f"only {quoted(self.table)}{columns}{condition}"


@dataclass(frozen=True, slots=True)
class PublicationState:
    """A publication. options: by PostgreSQL's names, as `alter publication ... set` has them."""

    name: str
    all_tables: bool
    options: Mapping[str, str]
    schemas: Sequence[str]
    members: Sequence[Membership]

    def member(self, table: TableName) -> Membership | None:
        return next((item for item in self.members if item.table == table), None)

    def without(self, tables: Sequence[TableName]) -> PublicationState:
        """The state after these tables have left."""
        kept = tuple(item for item in self.members if item.table not in tables)
        return PublicationState(self.name, self.all_tables, self.options, self.schemas, kept)

    def drop(self, tables: Sequence[TableName]) -> list[str]:
        """Statements that take these tables out."""
        return [
            f"alter publication {identifier(self.name)} drop table only {quoted(table)}"
            for table in tables
        ]

    def restore(self, tables: Sequence[TableName]) -> list[str]:
        """Statements that put these tables back as they are here, and set the options."""
        members = [item for item in self.members if item.table in tables]
        added = [
            f"alter publication {identifier(self.name)} add table {item.clause()}"
            for item in members
        ]
        return [*added, self.set_options()]

    def set_options(self) -> str:
        settings = ", ".join(f"{name} = '{value}'" for name, value in self.options.items())
        return f"alter publication {identifier(self.name)} set ({settings})"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or AttributeError where something lacks."""
        return cls(
            name=str(given["name"]),
            all_tables=bool(given["all_tables"]),
            options={str(k): str(v) for k, v in given["options"].items()},
            schemas=tuple(map(str, given["schemas"])),
            members=tuple(
                Membership(m["schema"], m["name"], tuple(m["columns"]), m["filter"])
                for m in given["members"]
            ),
        )


async def read_publication(conn: Connection, name: str) -> PublicationState:
    """The state at this moment, in this connection's transaction if there is one.

    Raises:
        PublicationMissingError: there is none.
    """
    found = await rows(conn, "select * from pg_catalog.pg_publication where pubname = %s", name)
    if not found:
        raise PublicationMissingError(f"publication {identifier(name)} does not exist")
    (flags,) = found
    operations = ", ".join(kind for kind in _OPERATIONS if flags[f"pub{kind}"])
    options = {
        "publish": operations,
        "publish_via_partition_root": str(flags["pubviaroot"]).lower(),
    }
    if "pubgencols" in flags:  # PostgreSQL 18
        options["publish_generated_columns"] = _GENERATED[_text(flags["pubgencols"])]
    return PublicationState(
        name=name,
        all_tables=flags["puballtables"],
        options=options,
        schemas=tuple(row["schema"] for row in await rows(conn, _SCHEMAS, name)),
        members=tuple(
            Membership(row["schema"], row["name"], tuple(row["columns"]), row["filter"])
            for row in await rows(conn, _MEMBERS, name)
        ),
    )


def _text(value: Any) -> str:
    """A value of the type "char"."""
    return value.decode() if isinstance(value, bytes) else str(value)


_SCHEMAS: Final = """
select n.nspname as schema from pg_catalog.pg_publication_namespace pn
join pg_catalog.pg_publication p on p.oid = pn.pnpubid
join pg_catalog.pg_namespace n on n.oid = pn.pnnspid
where p.pubname = %s order by 1
"""

# With an empty search_path the filter's names are qualified, so it means the same anywhere.
_MEMBERS: Final = """
select n.nspname as schema, c.relname as name,
  coalesce((select array_agg(a.attname::text order by a.attnum) from pg_catalog.pg_attribute a
    where a.attrelid = c.oid and a.attnum = any(r.prattrs::int2[])), '{}') as columns,
  coalesce(pg_catalog.pg_get_expr(r.prqual, r.prrelid), '') as filter
from pg_catalog.pg_publication_rel r
join pg_catalog.pg_publication p on p.oid = r.prpubid
join pg_catalog.pg_class c on c.oid = r.prrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where p.pubname = %s order by 1, 2
"""
