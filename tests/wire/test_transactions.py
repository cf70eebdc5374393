from __future__ import annotations

import pytest

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Change,
    Column,
    Kind,
    LogicalMessage,
    ReplicaIdentity,
    Row,
    Table,
)
from realtime_hub.errors import ReplicationProtocolError
from realtime_hub.lsn import Position
from realtime_hub.wire.pgoutput import (
    Begin,
    Commit,
    Delete,
    Insert,
    LogicalReplicationMessage,
    Origin,
    Relation,
    RelationColumn,
    Truncate,
    Type,
    Update,
)
from realtime_hub.wire.replication import POSTGRES_EPOCH
from realtime_hub.wire.transactions import Transactions
from tests.support.describing import table_of

BEGIN = Begin(1000, 5, 77)
COMMIT = Commit(1000, 1010, 5)


def relation(identity: ReplicaIdentity = ReplicaIdentity.DEFAULT, oid: int = 1) -> Relation:
    """id is the key; with identity FULL PostgreSQL marks every column."""
    full = identity is ReplicaIdentity.FULL
    keyed = identity is not ReplicaIdentity.NOTHING
    columns = (
        RelationColumn("id", 23, -1, keyed),
        RelationColumn("body", 25, -1, full),
        RelationColumn("n", 23, -1, full),
    )
    return Relation(oid, "public", f"t{oid}", identity, columns)


def described(*relations: Relation, epoch: int = 0) -> Transactions:
    transactions = Transactions(epoch)
    for each in relations or (relation(),):
        assert transactions.receive(each) is each
        transactions.describe(table_of(each))
    return transactions


def changes_of(transactions: Transactions, *messages: LogicalReplicationMessage) -> list[Change]:
    for message in (BEGIN, *messages, COMMIT):
        transactions.receive(message)
    changes, _ = transactions.take()
    return list(changes)


def rows_of(identity: ReplicaIdentity, message: LogicalReplicationMessage) -> tuple[object, ...]:
    (change,) = changes_of(described(relation(identity)), message)
    return change.new, change.old


def test_a_change_carries_its_transactions_commit_lsn_time_and_xid() -> None:
    (change,) = changes_of(described(epoch=3), Insert(1, (b"1", b"x", None)))
    assert change.position == Position(3, 1000, 0)
    assert change.commit_time == 5 + POSTGRES_EPOCH
    assert change.xid == 77
    assert (change.kind, change.new, change.old) == (Kind.INSERT, (b"1", b"x", None), None)
    assert change.table.name == "t1"


def test_a_change_goes_on_before_its_transaction_ends() -> None:
    transactions = described()
    transactions.receive(BEGIN)
    for i in range(3):
        transactions.receive(Insert(1, (b"%d" % i, None, None)))
        changes, confirmable = transactions.take()
        assert [change.position.ordinal for change in changes] == [i]
        assert confirmable == 0
    transactions.receive(COMMIT)
    assert transactions.take() == ([], COMMIT.end_lsn)


def test_indexes_count_the_row_messages_of_each_transaction() -> None:
    transactions = described(relation(), relation(oid=2))
    row: Row = (b"1", None, None)
    messages = [Insert(1, row), Truncate((1, 2), False, False), Delete(1, row, True)]
    messages.insert(1, LogicalMessage(1, True, "x", b""))
    changes = changes_of(transactions, *messages)
    assert [change.position.ordinal for change in changes] == [0, 1, 2, 3]
    transactions.receive(Begin(2000, 6, 78))
    transactions.receive(Insert(2, row))
    assert transactions.take()[0][0].position == Position(0, 2000, 0)


def test_truncate_gives_a_change_for_each_relation() -> None:
    changes = changes_of(
        described(relation(), relation(oid=2)),
        Truncate((2, 1), cascade=True, restart_identity=True),
    )
    assert [(c.kind, c.table.name, c.new, c.old) for c in changes] == [
        (Kind.TRUNCATE, "t2", None, None),
        (Kind.TRUNCATE, "t1", None, None),
    ]


@pytest.mark.parametrize("identity", [ReplicaIdentity.DEFAULT, ReplicaIdentity.INDEX])
def test_an_update_that_leaves_the_key_alone_takes_the_old_key_from_the_new_row(
    identity: ReplicaIdentity,
) -> None:
    new, old = rows_of(identity, Update(1, None, False, (b"1", b"x", b"2")))
    assert new == (b"1", b"x", b"2")
    assert old == (b"1", UNKNOWN, UNKNOWN)


def test_a_key_only_old_row_knows_the_key_alone() -> None:
    update = Update(1, (b"1", None, None), True, (b"9", b"x", b"2"))
    assert rows_of(ReplicaIdentity.DEFAULT, update)[1] == (b"1", UNKNOWN, UNKNOWN)
    delete = Delete(1, (b"1", None, None), True)
    assert rows_of(ReplicaIdentity.DEFAULT, delete) == (None, (b"1", UNKNOWN, UNKNOWN))


def test_identity_full_carries_the_whole_old_row_with_its_nulls() -> None:
    update = Update(1, (b"1", None, b"2"), False, (b"1", b"x", b"2"))
    assert rows_of(ReplicaIdentity.FULL, update) == ((b"1", b"x", b"2"), (b"1", None, b"2"))
    delete = Delete(1, (b"1", None, b"2"), False)
    assert rows_of(ReplicaIdentity.FULL, delete) == (None, (b"1", None, b"2"))


def test_without_a_replica_identity_nothing_of_the_old_row_is_known() -> None:
    update = Update(1, None, False, (b"1", b"x", b"2"))
    assert rows_of(ReplicaIdentity.NOTHING, update)[1] == (UNKNOWN, UNKNOWN, UNKNOWN)


def test_an_unchanged_toast_value_stays_unchanged_without_the_old_row() -> None:
    update = Update(1, None, False, (b"1", UNCHANGED, b"2"))
    assert rows_of(ReplicaIdentity.DEFAULT, update)[0] == (b"1", UNCHANGED, b"2")


def test_an_unchanged_toast_value_is_filled_from_the_old_row() -> None:
    update = Update(1, (b"1", b"long", b"1"), False, (b"1", UNCHANGED, b"2"))
    assert rows_of(ReplicaIdentity.FULL, update)[0] == (b"1", b"long", b"2")
    null = Update(1, (b"1", None, b"1"), False, (b"1", UNCHANGED, b"2"))
    assert rows_of(ReplicaIdentity.FULL, null)[0] == (b"1", None, b"2")


def test_a_toasted_key_is_filled_from_a_key_only_old_row() -> None:
    update = Update(1, (b"key", None, None), True, (UNCHANGED, UNCHANGED, b"2"))
    assert rows_of(ReplicaIdentity.DEFAULT, update) == (
        (b"key", UNCHANGED, b"2"),
        (b"key", UNKNOWN, UNKNOWN),
    )


def test_rows_are_laid_out_in_the_tables_order_with_generated_columns_unknown() -> None:
    known = table_of(relation())
    columns = (known.columns[2], Column("double", 23, "int4", generated=True), *known.columns[:2])
    table = Table(1, "public", "t1", columns, types={})
    transactions = Transactions()
    transactions.receive(relation())
    transactions.describe(table)
    insert, update, delete = changes_of(
        transactions,
        Insert(1, (b"1", b"x", b"2")),
        Update(1, None, False, (b"1", b"x", b"3")),
        Delete(1, (b"1", None, None), True),
    )
    assert insert.new == (b"2", UNKNOWN, b"1", b"x")
    assert (update.new, update.old) == (
        (b"3", UNKNOWN, b"1", b"x"),
        (UNKNOWN, UNKNOWN, b"1", UNKNOWN),
    )
    assert delete.old == (UNKNOWN, UNKNOWN, b"1", UNKNOWN)
    assert insert.table is table


def test_a_relation_repeated_mid_transaction_replaces_the_table_from_there_on() -> None:
    transactions = described()
    transactions.receive(BEGIN)
    transactions.receive(Insert(1, (b"1", None, None)))
    wider = relation()._replace(
        columns=(*relation().columns, RelationColumn("added", 25, -1, False))
    )
    assert transactions.receive(wider) == wider
    transactions.describe(table_of(wider))
    transactions.receive(Insert(1, (b"2", None, None, b"new")))
    (before, after), _ = transactions.take()
    assert len(before.table.columns) == 3
    assert len(after.table.columns) == 4
    assert after.position == before.position._replace(ordinal=1)


def test_a_row_of_a_repeated_relation_is_refused_until_it_is_described() -> None:
    transactions = described()
    transactions.receive(relation())
    transactions.receive(BEGIN)
    with pytest.raises(ReplicationProtocolError, match="not described"):
        transactions.receive(Insert(1, (b"1", None, None)))


def test_a_logical_message_is_passed_on_as_it_is() -> None:
    message = LogicalMessage(5, False, "prefix", b"content")
    assert Transactions().receive(message) is message


def test_types_and_origins_say_nothing() -> None:
    transactions = Transactions()
    assert transactions.receive(Type(1, "public", "mood")) is None
    assert transactions.receive(Origin(1, "elsewhere")) is None
    assert transactions.take() == ([], 0)


def test_a_commits_end_is_confirmable_once() -> None:
    transactions = described()
    for message in (BEGIN, COMMIT):
        transactions.receive(message)
    assert transactions.confirmable == COMMIT.end_lsn
    assert transactions.take() == ([], COMMIT.end_lsn)
    assert transactions.take() == ([], 0)


def test_a_keepalive_is_confirmable_outside_transactions_only() -> None:
    transactions = described()
    transactions.keepalive(900)
    assert transactions.take() == ([], 900)
    transactions.receive(BEGIN)
    transactions.keepalive(5000)
    assert transactions.take() == ([], 0)
    transactions.receive(COMMIT)
    transactions.keepalive(5000)
    assert transactions.take() == ([], 5000)


def test_a_keepalive_that_says_nothing_new_is_not_confirmable() -> None:
    transactions = described()
    for message in (BEGIN, COMMIT):
        transactions.receive(message)
    transactions.take()
    transactions.keepalive(COMMIT.end_lsn)
    assert transactions.take() == ([], 0)


@pytest.mark.parametrize(
    "messages",
    [
        [COMMIT],
        [BEGIN, BEGIN],
        [BEGIN, COMMIT._replace(commit_lsn=1)],
        [Insert(1, (b"1", None, None))],
        [BEGIN, Insert(2, (b"1", None, None))],
        [BEGIN, Insert(1, (b"1",))],
        [BEGIN, Update(1, None, False, (b"1",))],
        [BEGIN, Delete(1, (b"1",), True)],
        [BEGIN, Truncate((2,), False, False)],
    ],
)
def test_messages_that_do_not_fit_the_stream_are_refused(
    messages: list[LogicalReplicationMessage],
) -> None:
    transactions = described()
    with pytest.raises(ReplicationProtocolError):  # noqa: PT012 - the last of them raises
        for message in messages:
            transactions.receive(message)


def test_only_the_relation_asked_for_may_be_described_and_with_all_of_its_columns() -> None:
    transactions = Transactions()
    with pytest.raises(ValueError, match="not asked for"):
        transactions.describe(table_of(relation()))
    transactions.receive(relation())
    with pytest.raises(ValueError, match="not asked for"):
        transactions.describe(table_of(relation(oid=2)))
    transactions.receive(relation())
    with pytest.raises(ValueError, match="without body, n"):
        transactions.describe(Table(1, "public", "t1", (Column("id", 23, "int4"),), types={}))
