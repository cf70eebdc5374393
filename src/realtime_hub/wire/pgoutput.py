"""pgoutput, protocol version 1: what PostgreSQL's logical decoding says of each transaction.

Formats: PostgreSQL documentation, "Logical Replication Message Formats". Version 1 without
streaming sends whole committed transactions only, between a Begin and a Commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct, error
from typing import Final, NamedTuple, TypeAlias

from realtime_hub.changes import UNCHANGED, LogicalMessage, ReplicaIdentity, Row, Value
from realtime_hub.errors import ReplicationProtocolError


class Begin(NamedTuple):
    """A transaction starts. final_lsn: its commit LSN; commit_time: microseconds since 2000."""

    final_lsn: int
    commit_time: int
    xid: int


class Commit(NamedTuple):
    """A transaction ends. end_lsn: one past its commit record; commit_time: as in Begin."""

    commit_lsn: int
    end_lsn: int
    commit_time: int


class Origin(NamedTuple):
    """The transaction was replicated to the publisher from elsewhere."""

    commit_lsn: int
    name: str


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


class Type(NamedTuple):
    """A type that is not built in and that a following Relation uses."""

    oid: int
    schema: str
    name: str


class Insert(NamedTuple):
    relation_oid: int
    new: Row


class Update(NamedTuple):
    """old: None when the replica identity kept its values (and is not FULL).

    key_only: only the identity's columns of `old` mean anything, the others are NULL.
    """

    relation_oid: int
    old: Row | None
    key_only: bool
    new: Row


class Delete(NamedTuple):
    """key_only: as in Update."""

    relation_oid: int
    old: Row
    key_only: bool


class Truncate(NamedTuple):
    relation_oids: tuple[int, ...]
    cascade: bool
    restart_identity: bool


LogicalReplicationMessage: TypeAlias = (
    Begin | Commit | Origin | Relation | Type | Insert | Update | Delete | Truncate | LogicalMessage
)


def decode(data: bytes | memoryview) -> LogicalReplicationMessage:
    """Read one message, the payload of an XLogData frame.

    Row values are PostgreSQL's text form as bytes, None for NULL, UNCHANGED for a TOASTed
    value that the UPDATE left alone.

    Raises:
        ReplicationProtocolError: the bytes are truncated, or no message of version 1.
    """
    data = bytes(data)
    if not data:
        raise ReplicationProtocolError("empty message")
    decoder = _DECODERS.get(data[0])
    if decoder is None:
        raise ReplicationProtocolError(f"unknown message type {data[:1]!r}", offset=0)
    try:
        message, end = decoder(data)
    except (IndexError, error) as cause:
        raise ReplicationProtocolError("message is truncated") from cause
    except ValueError as cause:
        raise ReplicationProtocolError(f"malformed message: {cause}") from cause
    if end != len(data):
        reason = "message is truncated" if end > len(data) else "bytes after the message's end"
        raise ReplicationProtocolError(reason, offset=min(end, len(data)))
    return message


# What `Begin(...)` and its like do, without the call into Python that a NamedTuple's own
# constructor is: a third of the time of a short message.
_new = tuple.__new__

_TEXT, _NULL, _TOAST = b"tnu"
_NEW, _KEY, _OLD = b"NKO"

_begin = Struct(">xQqI").unpack_from
_commit = Struct(">xxQQq").unpack_from  # the flags are unused
_lsn = Struct(">xQ").unpack_from
_relation_oid = Struct(">xI").unpack_from
_row_header = Struct(">xIB").unpack_from
_truncate = Struct(">xIB").unpack_from
_message = Struct(">xBQ").unpack_from
_column = Struct(">Ii").unpack_from
_uint16 = Struct(">H").unpack_from
_uint32 = Struct(">I").unpack_from


def _decode_begin(data: bytes) -> tuple[Begin, int]:
    return _new(Begin, _begin(data)), 21


def _decode_commit(data: bytes) -> tuple[Commit, int]:
    return _new(Commit, _commit(data)), 26


def _decode_origin(data: bytes) -> tuple[Origin, int]:
    name, end = _string(data, 9)
    return Origin(_lsn(data)[0], name), end


def _decode_relation(data: bytes) -> tuple[Relation, int]:
    (oid,) = _relation_oid(data)
    schema, position = _string(data, 5)
    name, position = _string(data, position)
    identity = ReplicaIdentity(chr(data[position]))
    (count,) = _uint16(data, position + 1)
    position += 3
    columns = []
    for _ in range(count):
        column, position = _relation_column(data, position)
        columns.append(column)
    # An empty namespace stands for pg_catalog.
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns)), position


def _relation_column(data: bytes, position: int) -> tuple[RelationColumn, int]:
    flags = data[position]
    name, position = _string(data, position + 1)
    type_oid, typmod = _column(data, position)
    return RelationColumn(name, type_oid, typmod, bool(flags & 1)), position + 8


def _decode_type(data: bytes) -> tuple[Type, int]:
    schema, position = _string(data, 5)
    name, end = _string(data, position)
    return Type(_relation_oid(data)[0], schema or "pg_catalog", name), end


def _decode_insert(data: bytes) -> tuple[Insert, int]:
    oid, tag = _row_header(data)
    if tag != _NEW:
        raise ReplicationProtocolError("Insert without a new row", offset=5)
    new, end = _row(data, 6)
    return _new(Insert, (oid, new)), end


def _decode_update(data: bytes) -> tuple[Update, int]:
    oid, tag = _row_header(data)
    old: Row | None = None
    start = 6
    if tag in (_KEY, _OLD):
        old, start = _row(data, start)
        if data[start] != _NEW:
            raise ReplicationProtocolError("Update without a new row", offset=start)
        start += 1
    elif tag != _NEW:
        raise ReplicationProtocolError("Update without a new row", offset=5)
    new, end = _row(data, start)
    return _new(Update, (oid, old, tag == _KEY, new)), end


def _decode_delete(data: bytes) -> tuple[Delete, int]:
    oid, tag = _row_header(data)
    if tag not in (_KEY, _OLD):
        raise ReplicationProtocolError("Delete without an old row", offset=5)
    old, end = _row(data, 6)
    return _new(Delete, (oid, old, tag == _KEY)), end


def _decode_truncate(data: bytes) -> tuple[Truncate, int]:
    count, options = _truncate(data)
    end = 6 + 4 * count
    if end > len(data):
        raise ReplicationProtocolError("message is truncated", offset=len(data))
    oids = Struct(f">{count}I").unpack_from(data, 6)
    return Truncate(oids, bool(options & 1), bool(options & 2)), end


def _decode_message(data: bytes) -> tuple[LogicalMessage, int]:
    flags, lsn = _message(data)
    prefix, position = _string(data, 10)
    start = position + 4
    end = start + _uint32(data, position)[0]
    return LogicalMessage(lsn, bool(flags & 1), prefix, data[start:end]), end


def _row(data: bytes, position: int) -> tuple[Row, int]:
    """Read a TupleData. A value cut short shows in the end, which is then past the data's."""
    (count,) = _uint16(data, position)
    position += 2
    values: list[Value] = []
    append = values.append
    uint32 = _uint32
    for _ in range(count):
        kind = data[position]
        if kind == _TEXT:
            start = position + 5
            position = start + uint32(data, position + 1)[0]
            append(data[start:position])
        elif kind == _NULL:
            append(None)
            position += 1
        elif kind == _TOAST:
            append(UNCHANGED)
            position += 1
        else:
            raise ReplicationProtocolError(f"unknown kind of value {kind:#04x}", offset=position)
    return tuple(values), position


def _string(data: bytes, start: int) -> tuple[str, int]:
    end = data.find(0, start)
    if end < 0:
        raise ReplicationProtocolError("string without an end", offset=start)
    return data[start:end].decode(), end + 1


_DECODERS: Final[Mapping[int, Callable[[bytes], tuple[LogicalReplicationMessage, int]]]] = {
    ord("B"): _decode_begin,
    ord("C"): _decode_commit,
    ord("O"): _decode_origin,
    ord("R"): _decode_relation,
    ord("Y"): _decode_type,
    ord("I"): _decode_insert,
    ord("U"): _decode_update,
    ord("D"): _decode_delete,
    ord("T"): _decode_truncate,
    ord("M"): _decode_message,
}
