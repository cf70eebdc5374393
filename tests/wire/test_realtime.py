"""The payload of a `postgres_changes` event."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Change,
    Column,
    Kind,
    PgType,
    Row,
    Table,
)
from realtime_hub.lsn import Position
from realtime_hub.wire.realtime import ChangeEncoder, Old, View

COMMIT_TIME = 1_769_854_830_123_999  # 2026-01-31T10:20:30.123999Z
ALL = View((0, 1, 2))


def make_table(name: str = "llamadas") -> Table:
    columns = (
        Column("id", 20, "int8", identity=True, primary_key=True),
        Column('di"cho', 25, "text"),
        Column("monto", 1700, "numeric"),
    )
    return Table(16384, "público", name, columns, {25: PgType(25, "text")})


def change(kind: Kind, new: Row | None, old: Row | None, table: Table | None = None) -> Change:
    return Change(Position(1, 2, 3), kind, table or make_table(), COMMIT_TIME, 7, new, old)


def insert(*row: Any) -> Change:
    return change(Kind.INSERT, row, None)


def data(of: Change, view: View = ALL, **options: int) -> dict[str, Any]:
    read = json.loads(ChangeEncoder(of, **options).data(view), parse_float=str)
    assert isinstance(read, dict)
    return read


def test_an_insert_has_all_that_clients_expect_and_no_old_record() -> None:
    encoded = ChangeEncoder(insert(b"9223372036854775807", b'a"b', b"1250.50")).data(ALL)
    assert encoded.decode() == (
        '{"schema":"público","table":"llamadas","commit_timestamp":"2026-01-31T10:20:30.123Z",'
        '"type":"INSERT","columns":[{"name":"id","type":"int8"},{"name":"di\\"cho","type":"text"},'
        '{"name":"monto","type":"numeric"}],'
        '"record":{"id":9223372036854775807,"di\\"cho":"a\\"b","monto":1250.50},"errors":null}'
    )


def test_an_update_has_both_records() -> None:
    update = change(Kind.UPDATE, (b"1", b"b", None), (b"1", UNKNOWN, UNKNOWN))
    read = data(update)
    assert read["record"] == {"id": 1, 'di"cho': "b", "monto": None}
    assert read["old_record"] == {"id": 1}


def test_a_delete_has_no_record() -> None:
    read = data(change(Kind.DELETE, None, (b"1", UNKNOWN, UNKNOWN)))
    assert "record" not in read
    assert read["old_record"] == {"id": 1}
    assert len(read["columns"]) == 3


def test_a_payload_names_the_bindings() -> None:
    encoder = ChangeEncoder(insert(b"1", None, None))
    read = json.loads(encoder.payload(ALL, (7, 134217727)))
    assert read == {"ids": [7, 134217727], "data": json.loads(encoder.data(ALL))}


def test_an_unchanged_toasted_value_is_left_out() -> None:
    update = change(Kind.UPDATE, (b"1", UNCHANGED, b"2"), (b"1", UNKNOWN, UNKNOWN))
    assert data(update)["record"] == {"id": 1, "monto": 2}


def test_columns_that_are_not_shown_are_nowhere() -> None:
    full = (b"1", b"a", b"2")
    read = data(change(Kind.UPDATE, full, full), View((0, 2)))
    assert [column["name"] for column in read["columns"]] == ["id", "monto"]
    assert read["record"] == read["old_record"] == {"id": 1, "monto": 2}


@pytest.mark.parametrize(
    ("old", "expected"),
    [(Old.FULL, {"id": 1, 'di"cho': "a", "monto": 2}), (Old.KEY, {"id": 1}), (Old.NONE, {})],
)
def test_the_view_decides_how_much_of_the_old_row_is_shown(
    old: Old, expected: dict[str, object]
) -> None:
    full = (b"1", b"a", b"2")
    assert data(change(Kind.UPDATE, full, full), View((0, 1, 2), old))["old_record"] == expected


def test_a_key_that_is_not_shown_is_not_in_the_old_record() -> None:
    update = change(Kind.UPDATE, (b"1", b"a", b"2"), (b"1", b"a", b"2"))
    assert data(update, View((1,), Old.KEY))["old_record"] == {}


def test_an_error_replaces_all_values_and_keeps_the_timestamp() -> None:
    view = View((0, 1), Old.FULL, "Error 401: Unauthorized")
    read = data(change(Kind.UPDATE, (b"1", b"a", b"2"), (b"1", b"a", b"2")), view)
    assert read["errors"] == ["Error 401: Unauthorized"]
    assert read["columns"] == []
    assert read["record"] == read["old_record"] == {}
    assert read["commit_timestamp"] == "2026-01-31T10:20:30.123Z"


def test_a_change_that_is_too_large_keeps_its_short_values() -> None:
    big = change(Kind.UPDATE, (b"1", b"x" * 65, b"2"), (b"1", b"y" * 64, None))
    read = data(big, max_bytes=100)
    assert read["errors"] == ["Error 413: Payload Too Large"]
    assert read["record"] == {"id": 1, "monto": 2}
    assert read["old_record"] == {"id": 1, 'di"cho': "y" * 64, "monto": None}
    assert len(read["columns"]) == 3


def test_a_change_is_too_large_only_beyond_the_limit() -> None:
    exact = insert(b"1", b"x" * 98, b"2")
    assert data(exact, max_bytes=100)["errors"] is None
    assert data(exact, max_bytes=99)["errors"] == ["Error 413: Payload Too Large"]


def test_a_value_that_its_type_never_prints_does_not_lose_the_change() -> None:
    read = data(insert(b'1, "rol": "admin', b"a\xffb", b"2"))
    assert read["record"] == {"id": '1, "rol": "admin', 'di"cho': "a\ufffdb", "monto": 2}
    assert read["errors"] is None


def test_a_view_is_encoded_once() -> None:
    encoder = ChangeEncoder(insert(b"1", b"a", b"2"))
    assert encoder.data(View((0, 1))) is encoder.data(View((0, 1)))
    assert encoder.data(View((0, 1))) != encoder.data(View((0,)))


def test_a_time_before_1970_has_its_milliseconds_the_right_way() -> None:
    early = insert(b"1", b"a", b"2")._replace(commit_time=-1)
    assert data(early)["commit_timestamp"] == "1969-12-31T23:59:59.999Z"


def test_what_is_kept_for_a_table_goes_with_it() -> None:
    table = make_table()
    ChangeEncoder(change(Kind.INSERT, (b"1", b"a", b"2"), None, table)).data(ALL)
    gone = weakref.ref(table)
    del table
    gc.collect()
    assert gone() is None
