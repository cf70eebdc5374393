"""Column text to JSON: examples and hostile input; tests/property/test_types.py asks PostgreSQL."""

from __future__ import annotations

import json

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.changes import PgType, TypeKind
from realtime_hub.errors import ValueSyntaxError
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES
from realtime_hub.wire.pgtypes import json_encoder
from tests.support.postgres import Server

OIDS = {known.name: known.oid for known in BUILTIN_TYPES.values()}

FICHA = PgType(
    90001,
    "ficha",
    TypeKind.COMPOSITE,
    attributes=(("n", 90002), ("j", 3802), ("m", 1700), ("l", 1009)),
)
NIVEL = PgType(90002, "nivel", TypeKind.ENUM, labels=("alta", "baja"))
FICHAS = PgType(90003, "_ficha", TypeKind.ARRAY, element=90001)
MONTO = PgType(90004, "monto", TypeKind.DOMAIN, base=1700)
HSTORE = PgType(90005, "hstore")
VACIO = PgType(90006, "vacio", TypeKind.COMPOSITE)
TYPES = {known.oid: known for known in (FICHA, NIVEL, FICHAS, MONTO, HSTORE, VACIO)}
OIDS |= {known.name: known.oid for known in TYPES.values()}


def encode(type_name: str, text: str) -> str:
    return json_encoder(TYPES, OIDS[type_name])(text.encode()).decode()


@pytest.mark.parametrize(
    ("type_name", "text", "expected"),
    [
        ("int8", "9223372036854775807", "9223372036854775807"),
        ("int2", "-32768", "-32768"),
        ("int4", "0", "0"),
        ("numeric", "1250.50", "1250.50"),
        ("numeric", "0.00", "0.00"),
        ("numeric", "-123456789012345678901234567890.5", "-123456789012345678901234567890.5"),
        ("float8", "1e+20", "100000000000000000000"),
        ("float8", "1.2345e-07", "0.00000012345"),
        ("float8", "-1.25e+15", "-1250000000000000"),
        ("float8", "1.7976931348623157e+308", "17976931348623157" + "0" * 292),
        ("float8", "-0", "0"),
        ("bool", "t", "true"),
        ("bool", "f", "false"),
        ("text", 'dice "hola"\n\t\\ ñ', '"dice \\"hola\\"\\n\\t\\\\ ñ"'),
        ("timestamp", "2026-02-11 20:24:00", '"2026-02-11T20:24:00"'),
        ("timestamptz", "2026-02-11 20:24:00.5+00", '"2026-02-11T20:24:00.5+00:00"'),
        ("timestamptz", "0044-03-15 01:02:03+00 BC", '"0044-03-15T01:02:03+00:00 BC"'),
        ("timestamptz", "2026-02-11 20:24:00+05:30", '"2026-02-11T20:24:00+05:30"'),
        ("timestamptz", "-infinity", '"-infinity"'),
        ("date", "0044-03-15 BC", '"0044-03-15 BC"'),
        ("jsonb", '{"a": [1, 2.50]}', '{"a": [1, 2.50]}'),
        ("_int4", "{1,NULL,3}", "[1,null,3]"),
        ("_int4", "[0:1]={1,2}", "[1,2]"),
        ("_int4", "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
        ("_text", "{}", "[]"),
        (
            "_text",
            '{"a,b","con \\"comillas\\"",NULL,"","NULL"}',
            '["a,b","con \\"comillas\\"",null,"","NULL"]',
        ),
        ("_bool", "{t,f,NULL}", "[true,false,null]"),
        ("_jsonb", '{"{\\"k\\": 1}",[2]}', '[{"k": 1},[2]]'),
        ("_box", "{(1,1),(0,0);(2,2),(1,1)}", '["(1,1),(0,0)","(2,2),(1,1)"]'),
        ("int2vector", "1 2", "[1,2]"),
        ("oidvector", "1 2", '["1","2"]'),
        ("int4range", "[1,5)", '"[1,5)"'),
        ("nivel", "alta", '"alta"'),
        ("monto", "10.50", "10.50"),
        ("vacio", "()", "{}"),
        ("hstore", "", "{}"),
        ("hstore", '"a"=>"nue\\"vo", "b"=>NULL', '{"a":"nue\\"vo","b":null}'),
        (
            "ficha",
            '(alta,"{""k"": [1]}",1.50,"{x,""y,z""}")',
            '{"n":"alta","j":{"k": [1]},"m":1.50,"l":["x","y,z"]}',
        ),
        ("ficha", "(,,,)", '{"n":null,"j":null,"m":null,"l":null}'),
    ],
)
def test_text_becomes_the_json_that_realtime_sends(
    type_name: str, text: str, expected: str
) -> None:
    assert encode(type_name, text) == expected


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("type_name", ["numeric", "float4", "float8"])
def test_a_number_that_is_not_finite_is_null_as_a_column_and_text_inside_an_array(
    type_name: str, text: str
) -> None:
    assert encode(type_name, text) == "null"
    assert encode(f"_{type_name}", f"{{{text}}}") == f'["{text}"]'


def test_bytea_has_no_prefix_as_a_column_and_has_it_inside_an_array() -> None:
    assert encode("bytea", "\\x01ff") == '"01ff"'
    assert encode("_bytea", '{"\\\\x01","\\\\xff"}') == '["\\\\x01","\\\\xff"]'


def test_char_and_bit_keep_their_width() -> None:
    assert encode("bpchar", "ab   ") == '"ab   "'
    assert encode("bit", "1010") == '"1010"'


def test_json_text_of_several_lines_comes_out_on_one() -> None:
    assert "\n" not in encode("json", '{"a":\r\n 1,\n "b": "x\\ny"}')
    assert json.loads(encode("json", '{"a":\n 1, "b": "x\\ny"}')) == {"a": 1, "b": "x\ny"}


def test_a_type_that_nobody_knows_is_a_string() -> None:
    assert json_encoder({}, 4_000_000)(b"(1,2)") == b'"(1,2)"'


def test_built_in_types_need_no_catalog() -> None:
    assert json_encoder({}, OIDS["_int4"])(b"{1,2}") == b"[1,2]"


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("int4", "x"),
        ("int4", ""),
        ("int4", "1.5"),
        ("int4", "007"),
        ("int4", "1]"),
        ("numeric", "1."),
        ("numeric", ".5"),
        ("numeric", "1,5"),
        ("float8", "1e99999999"),
        ("bool", "true"),
        ("bytea", "abc"),
        ("_int4", "{1,2"),
        ("_int4", "{1,2}}"),
        ("_int4", "{{1},2,}"),
        ("_int4", "1"),
        ("_int4", ""),
        ("_text", '{"a"b}'),
        ("_text", '{a "b"}'),
        ("ficha", "(alta)"),
        ("ficha", "(a,b,c,d"),
        ("ficha", "x(a,b,c,d)"),
        ("ficha", "(a,b,c,d)x"),
        ("hstore", '"a"=>"b", '),
        ("hstore", '"a"=>b'),
    ],
)
def test_text_that_the_type_never_prints_is_refused(type_name: str, text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        encode(type_name, text)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(ValueSyntaxError, match="not UTF-8 at byte 1"):
        json_encoder({}, OIDS["text"])(b"a\xff")


# PostgreSQL has checked the syntax of json and jsonb, so they are passed on unread.
UNREAD = {"json", "jsonb", "_json", "_jsonb", "ficha", "_ficha"}


@given(
    type_name=st.sampled_from(sorted(OIDS.keys() - UNREAD)),
    text=st.one_of(
        st.binary(max_size=40),
        st.text(alphabet='{}[]()=,;"\\0123456789.eE+-tfNUL x\n', max_size=30).map(str.encode),
    ),
)
def test_whatever_the_bytes_the_result_is_json_or_a_refusal(type_name: str, text: bytes) -> None:
    try:
        encoded = json_encoder(TYPES, OIDS[type_name])(text)
    except ValueSyntaxError:
        return
    json.loads(encoded, parse_int=str, parse_float=str)
    assert b"\n" not in encoded


@pytest.mark.postgres
def test_the_built_in_types_are_those_of_the_server(postgres: Server) -> None:
    query = """
      select t.oid::int8, t.typname, t.typtype, t.typcategory, t.typdelim, t.typarray::int8
      from pg_catalog.pg_type t
      where t.oid = any(%s) and t.typtype <> 'p' order by t.oid
    """
    elements = {t.oid: t for t in BUILTIN_TYPES.values() if t.kind is not TypeKind.ARRAY}
    arrays = {t.element: t.oid for t in BUILTIN_TYPES.values() if t.kind is TypeKind.ARRAY}
    with psycopg.connect(postgres.dsn()) as connection:
        rows = connection.execute(query, (list(elements),)).fetchall()
    assert [
        (t.oid, t.name, t.kind.value, t.category, t.delimiter, arrays[t.oid])
        for _, t in sorted(elements.items())
    ] == rows
