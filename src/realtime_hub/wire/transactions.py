"""From pgoutput's messages to Changes: Positions, rows in the Table's order, old values.

    message --receive--> nothing to do | Relation (to be described) | LogicalMessage
                         changes and the confirmable LSN gather, `take` hands them out

Begin carries the commit LSN already, so a change goes on before its transaction's end is
seen, and memory does not grow with the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Absent,
    Change,
    Kind,
    LogicalMessage,
    Row,
    Table,
    Value,
)
from realtime_hub.errors import ReplicationProtocolError
from realtime_hub.lsn import Position
from realtime_hub.wire.pgoutput import (
    Begin,
    Commit,
    Delete,
    Insert,
    LogicalReplicationMessage,
    Relation,
    Truncate,
    Update,
)
from realtime_hub.wire.replication import POSTGRES_EPOCH

_INSERT, _UPDATE, _DELETE, _TRUNCATE = Kind  # in the order of their definition
_new = tuple.__new__  # a NamedTuple's own constructor takes three times as long


class Transactions:
    """The state of one replication session: the open transaction and the tables described.

    Feed every message to `receive`, in order, and hand out what has gathered with `take`
    whenever it suits; messages of another session need a new object.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._epoch = epoch
        self._layouts = _Layouts()
        self._relation: Relation | None = None
        self._open = False
        self._commit_lsn = 0
        self._commit_time = 0
        self._xid = 0
        self._ordinal = 0
        self._changes: list[Change] = []
        self._confirmable = 0
        self._told = 0
        self._receivers: Final[dict[type, Callable[[Any], Relation | LogicalMessage | None]]] = {
            Insert: self._insert,
            Update: self._update,
            Delete: self._delete,
            Begin: self._begin,
            Commit: self._commit,
            Relation: self._describe_first,
            Truncate: self._truncate,
            LogicalMessage: lambda message: message,
        }

    @property
    def pending(self) -> int:
        """How many changes `take` would hand out."""
        return len(self._changes)

    @property
    def open(self) -> bool:
        """Whether a transaction has begun and its Commit is still to come."""
        return self._open

    @property
    def confirmable(self) -> int:
        """The LSN that `take` would hand out."""
        return self._confirmable

    def receive(self, message: LogicalReplicationMessage) -> Relation | LogicalMessage | None:
        """Take in one message; a row becomes a pending change.

        Returns a Relation when `describe` must be called before the next message, and a
        LogicalMessage as it is.

        Raises:
            ReplicationProtocolError: the message can't come at this point of the stream.
        """
        receiver = self._receivers.get(type(message))
        # Origin and Type say nothing that a change needs: the catalog knows more.
        return receiver(message) if receiver is not None else None

    def describe(self, table: Table) -> None:
        """Answer the Relation that `receive` returned last; its rows get this Table from here on.

        The Table has every column of the Relation, and may have more, which are UNKNOWN in
        its rows.

        Raises:
            ValueError: no Relation waits, it is another table, or a column is missing.
        """
        relation, self._relation = self._relation, None
        if relation is None or relation.oid != table.oid:
            raise ValueError(f"{table.full_name} was not asked for")
        self._layouts[relation.oid] = _Layout.of(relation, table)

    def keepalive(self, lsn: int) -> None:
        """The server has sent everything up to `lsn`, and nothing of it is still to come."""
        if not self._open and lsn > max(self._told, self._confirmable):
            self._confirmable = lsn

    def take(self) -> tuple[Sequence[Change], int]:
        """The changes since the last call, and the LSN that may be confirmed once they and
        all before them are durable (the last Commit's end or a keepalive's; 0: none new)."""
        taken = self._changes, self._confirmable
        self._told = max(self._told, self._confirmable)
        self._changes, self._confirmable = [], 0
        return taken

    def _begin(self, begin: Begin) -> None:
        if self._open:
            raise ReplicationProtocolError("Begin inside a transaction")
        self._open = True
        self._commit_lsn = begin.final_lsn
        self._commit_time = begin.commit_time + POSTGRES_EPOCH
        self._xid = begin.xid
        self._ordinal = 0

    def _commit(self, commit: Commit) -> None:
        if not self._open or commit.commit_lsn != self._commit_lsn:
            raise ReplicationProtocolError("Commit of a transaction that did not begin")
        self._open = False
        self._confirmable = max(self._confirmable, commit.end_lsn)

    def _describe_first(self, relation: Relation) -> Relation:
        self._layouts.pop(relation.oid, None)
        self._relation = relation
        return relation

    def _insert(self, insert: Insert) -> None:
        layout = self._layouts[insert.relation_oid]
        self._append(_INSERT, layout.table, layout.row(insert.new), None)

    def _update(self, update: Update) -> None:
        layout = self._layouts[update.relation_oid]
        new = update.new
        if update.old is None:
            old = layout.key(new)
        else:
            old = layout.key(update.old) if update.key_only else layout.row(update.old)
        new = layout.row(new)
        if UNCHANGED in new:
            new = _filled(new, old)
        self._append(_UPDATE, layout.table, new, old)

    def _delete(self, delete: Delete) -> None:
        layout = self._layouts[delete.relation_oid]
        old = layout.key(delete.old) if delete.key_only else layout.row(delete.old)
        self._append(_DELETE, layout.table, None, old)

    def _truncate(self, truncate: Truncate) -> None:
        for oid in truncate.relation_oids:
            self._append(_TRUNCATE, self._layouts[oid].table, None, None)

    def _append(self, kind: Kind, table: Table, new: Row | None, old: Row | None) -> None:
        if not self._open:
            raise ReplicationProtocolError("row outside a transaction")
        position = _new(Position, (self._epoch, self._commit_lsn, self._ordinal))
        self._ordinal += 1
        self._changes.append(
            _new(Change, (position, kind, table, self._commit_time, self._xid, new, old))
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the Relation's rows are laid out in the Table.

    width: columns of the Relation. sources: for each column of the Table the index in the
    Relation's rows, None where it has none; None as a whole when both orders are the same.
    identity: (index in the Relation's row, index in the Table's) of the replica identity.
    """

    table: Table
    width: int
    sources: tuple[int | None, ...] | None
    identity: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, relation: Relation, table: Table) -> _Layout:
        names = [column.name for column in relation.columns]
        missing = [name for name in names if name not in table.index]
        if missing:
            raise ValueError(f"{table.full_name} was described without {', '.join(missing)}")
        places = {name: i for i, name in enumerate(names)}
        sources = tuple(places.get(column.name) for column in table.columns)
        same = sources == tuple(range(len(names)))
        identity = tuple(
            (i, table.index[column.name])
            for i, column in enumerate(relation.columns)
            if column.identity
        )
        return cls(table, len(names), None if same else sources, identity)

    def row(self, values: Row) -> Row:
        """The Relation's row in the Table's order."""
        if len(values) != self.width:
            raise self._misfit(values)
        if self.sources is None:
            return values
        return tuple([UNKNOWN if i is None else values[i] for i in self.sources])

    def key(self, values: Row) -> Row:
        """The replica identity's columns alone, in the Table's order."""
        if len(values) != self.width:
            raise self._misfit(values)
        row: list[Value] = [UNKNOWN] * len(self.table.columns)
        for source, target in self.identity:
            row[target] = values[source]
        return tuple(row)

    def _misfit(self, values: Row) -> ReplicationProtocolError:
        return ReplicationProtocolError(
            f"row of {len(values)} columns for {self.table.full_name}, which has {self.width}"
        )


class _Layouts(dict[int, _Layout]):
    def __missing__(self, oid: int) -> _Layout:
        raise ReplicationProtocolError(f"row of relation {oid}, which was not described")


def _filled(new: Row, old: Row) -> Row:
    """The new row with unchanged TOAST values taken from the old one, where that has them."""
    return tuple(
        [
            before if after is UNCHANGED and not isinstance(before, Absent) else after
            for after, before in zip(new, old, strict=True)
        ]
    )
