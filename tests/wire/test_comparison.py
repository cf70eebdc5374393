"""What is decided here, what is looked up, and what is left to PostgreSQL."""

from __future__ import annotations

import pytest

from realtime_hub.changes import (
    UNCHANGED,
    UNKNOWN,
    Collation,
    Column,
    PgType,
    Table,
    TypeKind,
    Value,
)
from realtime_hub.wire.bound import BoundFilter, bind_filter
from realtime_hub.wire.comparison import equality_key
from realtime_hub.wire.filters import parse_filter
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES

ENUM = PgType(70_000, "estado", TypeKind.ENUM, "public", labels=("nueva", "activa", "cerrada"))
DOMAIN = PgType(70_001, "entero", TypeKind.DOMAIN, "public", base=70_002)
INNER = PgType(70_002, "positivo", TypeKind.DOMAIN, "public", base=23)
CITEXT = PgType(70_003, "citext", schema="public", category="S")


def table(
    type_oid: int, collation: Collation = Collation.DETERMINISTIC, *, known: bool = True
) -> Table:
    types = {**BUILTIN_TYPES, **{t.oid: t for t in (ENUM, DOMAIN, INNER, CITEXT)}}
    columns = (
        Column("id", 23, "int4", primary_key=True),
        Column("c", type_oid, types[type_oid].name, collation=collation),
    )
    return Table(1, "public", "cita", columns, types, known=known)


def bound(text: str, type_oid: int = 23, collation: Collation = Collation.BYTES) -> BoundFilter:
    return bind_filter(parse_filter(text), table(type_oid, collation))


@pytest.mark.parametrize("value", [UNCHANGED, UNKNOWN])
@pytest.mark.parametrize(
    "text", ["c=eq.1", "c=not.eq.1", "c=is.null", "c=not.is.null", "c=isdistinct.1", "c=match.1"]
)
def test_a_value_that_the_row_lacks_never_matches(text: str, value: Value) -> None:
    assert not bound(text).matches((b"1", value))


def test_a_column_that_the_table_lacks_never_matches() -> None:
    assert not bound("zz=not.eq.1").matches((b"1", b"1"))
    assert bound("zz=not.eq.1").index_keys is None


@pytest.mark.parametrize("text", ["c=eq.1", "c=neq.1", "c=lt.1", "c=in.(1)"])
def test_null_matches_neither_a_comparison_nor_its_negation(text: str) -> None:
    assert not bound(text).matches((b"1", None))
    assert not bound(text.replace("=", "=not.", 1)).matches((b"1", None))


def test_null_is_distinct_from_a_value() -> None:
    assert bound("c=isdistinct.1").matches((b"1", None))
    assert not bound("c=not.isdistinct.1").matches((b"1", None))


def test_all_conditions_must_hold() -> None:
    both = bound("id=gt.1,c=lt.5")
    assert both.matches((b"2", b"4"))
    assert not both.matches((b"1", b"4"))
    assert not both.matches((b"2", b"5"))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("c=eq.5", (1, frozenset({5}))),
        ("c=in.(5,6)", (1, frozenset({5, 6}))),
        ("c=in.(5,6),id=eq.7", (0, frozenset({7}))),
        ("c=not.eq.5", None),
        ("c=neq.5", None),
        ("c=in.()", None),
        ("c=gt.5", None),
    ],
)
def test_equality_and_membership_can_be_looked_up(text: str, keys: object) -> None:
    assert bound(text).index_keys == keys


@pytest.mark.parametrize(
    ("type_oid", "texts"),
    [
        (1700, (b"10.5", b"10.50", b"10.500")),
        (1700, (b"NaN", b"NaN")),
        (701, (b"0", b"-0")),
        (701, (b"NaN", b"NaN")),
        (1042, (b"ab", b"ab   ")),
        (DOMAIN.oid, (b"5", b"5")),
    ],
)
def test_equal_values_have_one_key(type_oid: int, texts: tuple[bytes, ...]) -> None:
    key_of = equality_key(table(type_oid), 1)
    assert key_of is not None
    assert len({key_of(text) for text in texts}) == 1


@pytest.mark.parametrize(
    ("type_oid", "texts"),
    [
        (1700, ["-Infinity", "-1", "0", "0.01", "Infinity", "NaN"]),
        (700, ["-Infinity", "-1e-45", "0", "1.1", "1e+10", "Infinity", "NaN"]),
        (1082, ["-infinity", "0044-03-15 BC", "0044-03-16 BC", "0043-01-01 BC", "0001-01-01",
                "2026-02-11", "10000-01-01", "infinity"]),
        (1184, ["0044-03-15 10:00:00+00 BC", "2026-02-11 20:24:00+00", "2026-02-11 20:24:00.1+00"]),
        (1083, ["00:00:00", "00:00:00.1", "24:00:00"]),
        (17, ["\\x", "\\x00", "\\x0000", "\\xff"]),
        (25, ["", "A", "a", "á"]),
    ],
)  # fmt: skip
def test_values_are_in_postgresqls_order(type_oid: int, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        for other_number, other in enumerate(texts):
            less = bound(f'c=lt."{other.replace(chr(92), chr(92) * 2)}"', type_oid)
            assert less.asked == ()
            assert less.matches((b"1", text.encode())) == (number < other_number)


@pytest.mark.parametrize(
    ("text", "type_oid", "collation"),
    [
        ("c=match.a", 25, Collation.BYTES),
        ("c=imatch.a", 25, Collation.BYTES),
        ("c=ilike.a", 25, Collation.BYTES),
        ("c=lt.a", 25, Collation.DETERMINISTIC),
        ("c=eq.a", 25, Collation.NONDETERMINISTIC),
        ("c=like.a", 25, Collation.NONDETERMINISTIC),
        ('c=like."a\\\\%"', 25, Collation.BYTES),
        ("c=like.%a_b%", 25, Collation.BYTES),
        ("c=like.a%", 1042, Collation.BYTES),
        ("c=gt.nueva", ENUM.oid, Collation.BYTES),
        ("c=eq.desconocida", ENUM.oid, Collation.BYTES),
        ("c=eq.a", CITEXT.oid, Collation.DETERMINISTIC),
        ("c=eq.{}", 1007, Collation.BYTES),
        ("c=eq.1 day", 1186, Collation.BYTES),
        ("c=eq.{}", 3802, Collation.BYTES),
    ],
)
def test_what_only_postgresql_knows_is_asked(
    text: str, type_oid: int, collation: Collation
) -> None:
    found = bound(text, type_oid, collation)
    assert list(map(str, found.asked)) == [str(c) for c in parse_filter(text)]
    assert found.index_keys is None
    assert found.matches((b"1", b"x"))


def test_nobody_is_asked_about_null_but_where_it_may_match() -> None:
    assert not bound("c=match.a", 25).matches((b"1", None))
    assert bound("c=isdistinct.{}", 3802).matches((b"1", None))


def test_text_of_a_table_that_is_not_known_is_asked_about() -> None:
    unknown = table(25, known=False)
    assert bind_filter(parse_filter("c=eq.a"), unknown).asked
    assert equality_key(unknown, 1) is None


@pytest.mark.parametrize(
    ("text", "type_oid"),
    [
        ("c=eq.abc", 23),
        ("c=eq.05:00", 1184),
        ("c=eq.2026-02-11", 1114),
        ("c=eq.true", 16),
        ("c=eq.1e300", 1700),
        ("c=eq.today", 1082),
        ("c=eq.1e+39", 700),
        ("c=eq.A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", 2950),
    ],
)
def test_a_value_in_another_form_than_printed_is_asked_about(text: str, type_oid: int) -> None:
    assert bound(text, type_oid).asked


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("ab%", "abc", True),
        ("AB_", "abc", False),
        ("a_c", "añc", True),
        ("%b%", "a\nb\nc", True),
        ("a%a", "a", False),
        ("%a%b%c", "xaxbxc", True),
        ("%a%b%c", "xbxaxc", False),
        ("_%_", "😀", False),
        ("", "", True),
        ("%", "", True),
        ("a*", "ab", False),
    ],
)
def test_like_compares_characters(pattern: str, value: str, matches: bool) -> None:
    found = bound(f'c=like."{pattern}"', 25)
    assert found.asked == ()
    assert found.matches((b"1", value.encode())) is matches


def test_like_is_linear_in_the_text() -> None:
    found = bound('c=like."%' + "a%" * 1000 + 'b"', 25)
    assert not found.matches((b"1", b"a" * 1_000_000))
