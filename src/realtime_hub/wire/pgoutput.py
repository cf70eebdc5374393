"""pgoutput, protocol version 1: what PostgreSQL's logical decoding says of each transaction.

Formats: PostgreSQL documentation, "Logical Replication Message Formats". Version 1 without
streaming sends whole committed transactions only, between a Begin and a Commit.
"""

from __future__ import annotations

from typing import NamedTuple

from realtime_hub.changes import ReplicaIdentity


class RelationColumn(NamedTuple):
    """A column as the Relation message names it; `identity`: part of the replica identity."""

    name: str
    type_oid: int
    typmod: int
    identity: bool


class Relation(NamedTuple):
    """A published table, sent before its first row and again after anything about it changed.

    columns: in table order, those that the publication sends.
    """

    oid: int
    schema: str
    name: str
    identity: ReplicaIdentity
    columns: tuple[RelationColumn, ...]
