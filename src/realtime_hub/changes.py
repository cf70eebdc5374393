"""What travels: a Change, and the Table whose row it is.

A Table is a pgoutput Relation joined with what only the catalog knows (type structure,
primary key, generated columns, collations). A new one is made each time PostgreSQL sends
the Relation again, so identity (`is`) tells whether anything about the table may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, NamedTuple, TypeAlias

from realtime_hub.lsn import Position


class Kind(StrEnum):
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    TRUNCATE = "TRUNCATE"


class Absent(Enum):
    """Why a column has no value in a row."""

    UNCHANGED = "unchanged"  # a TOASTed value that the UPDATE left alone: not in the WAL
    UNKNOWN = "unknown"  # not part of the replica identity, or not computable


UNCHANGED: Final = Absent.UNCHANGED
UNKNOWN: Final = Absent.UNKNOWN

Value: TypeAlias = bytes | None | Absent
"""A column's value: PostgreSQL's text form in UTF-8, None for NULL, or why there is none."""

Row: TypeAlias = tuple[Value, ...]
"""One value for each column of the Table, in its order."""


class TypeKind(StrEnum):
    """`pg_type.typtype`, with arrays told apart."""

    BASE = "b"
    ARRAY = "a"
    ENUM = "e"
    DOMAIN = "d"
    COMPOSITE = "c"
    RANGE = "r"
    MULTIRANGE = "m"
    PSEUDO = "p"


@dataclass(frozen=True, slots=True)
class PgType:
    """A row of `pg_type`, as far as text is read and values are compared.

    element: the element's OID for arrays; base: the base type's OID for domains;
    attributes: (name, type OID) for composites, in order; labels: for enums, in sort order;
    delimiter: between array elements; schema is where the type lives.
    """

    oid: int
    name: str
    kind: TypeKind = TypeKind.BASE
    schema: str = "pg_catalog"
    category: str = "U"
    element: int = 0
    base: int = 0
    attributes: tuple[tuple[str, int], ...] = ()
    labels: tuple[str, ...] = ()
    delimiter: str = ","


Types: TypeAlias = Mapping[int, PgType]
"""Types by OID: every type that a table's columns use, and those that they are made of."""


class Collation(StrEnum):
    """How far text under a column's collation can be compared outside PostgreSQL."""

    BYTES = "bytes"  # C, POSIX, ucs_basic: order and equality are those of the bytes
    DETERMINISTIC = "deterministic"  # equality is that of the bytes, order is the locale's
    NONDETERMINISTIC = "nondeterministic"  # neither


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a published table.

    identity: part of the replica identity; primary_key: part of the primary key;
    generated: stored generated, computed here because pgoutput leaves it out.
    """

    name: str
    type_oid: int
    type_name: str
    typmod: int = -1
    identity: bool = False
    primary_key: bool = False
    generated: bool = False
    collation: Collation = Collation.DETERMINISTIC


class ReplicaIdentity(StrEnum):
    """`pg_class.relreplident`."""

    DEFAULT = "d"
    NOTHING = "n"
    FULL = "f"
    INDEX = "i"


class TableName(NamedTuple):
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Table:
    """A published table as it is at one point of the stream. Compared by identity.

    columns: in table order, as published. key: indexes of the primary key's columns.
    row_security: RLS is on. known: the catalog was seen (else only what the Relation says).
    """

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    types: Types
    identity: ReplicaIdentity = ReplicaIdentity.DEFAULT
    row_security: bool = False
    known: bool = True
    key: tuple[int, ...] = field(init=False)
    index: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        key = tuple(i for i, c in enumerate(self.columns) if c.primary_key)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "index", {c.name: i for i, c in enumerate(self.columns)})

    @property
    def full_name(self) -> TableName:
        return TableName(self.schema, self.name)


class Change(NamedTuple):
    """One row inserted, updated or deleted (or a table truncated), in commit order.

    commit_time: microseconds since the Unix epoch, UTC. xid: the 32-bit transaction id.
    new: the row after an INSERT or UPDATE. old: the row before an UPDATE or DELETE as far as
    the replica identity carries it, other columns UNKNOWN; for an UPDATE that left the
    identity alone, its columns are taken from the new row.
    """

    position: Position
    kind: Kind
    table: Table
    commit_time: int
    xid: int
    new: Row | None
    old: Row | None

    @property
    def row(self) -> Row | None:
        """The row that filters and policies judge: the new one, of a DELETE the old one."""
        return self.old if self.new is None else self.new


class LogicalMessage(NamedTuple):
    """What `pg_logical_emit_message` wrote; `prefix` names its sender."""

    lsn: int
    transactional: bool
    prefix: str
    content: bytes
