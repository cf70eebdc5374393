"""Which constructs are compiled, and that all others are left to PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from realtime_hub.auth.expressions import Compiler, Functions
from realtime_hub.auth.policies import ALL_CLAIMS, Policy, rule_for
from realtime_hub.auth.predicates import compile_predicate
from realtime_hub.auth.scope import claims_read, names_read
from realtime_hub.auth.supabase import is_known
from realtime_hub.auth.values import Uncertain
from realtime_hub.changes import UNKNOWN, Collation, Column, PgType, Row, Table, TypeKind
from realtime_hub.wire.pgbuiltin import BUILTIN_TYPES

MOOD = PgType(20_000, "mood", TypeKind.ENUM, "public", labels=("sad", "ok"))
KINDS = {
    "id": 23, "n": 23, "big": 20, "t": 25, "v": 1043, "u": 2950, "b": 16, "j": 3802, "js": 114,
    "e": 20_000, "at": 1184, "x": 1700, "texts": 1009, "uuids": 2951, "points": 1017, "p": 600,
    "c": 1042,
}  # fmt: skip
TABLE = Table(
    1,
    "public",
    "r",
    (
        *(Column(name, oid, "", primary_key=name == "id") for name, oid in KINDS.items()),
        Column("ci", 25, "text", collation=Collation.NONDETERMINISTIC),
    ),
    {**BUILTIN_TYPES, 20_000: MOOD},
)
ALL = Functions(uid=True, role=True, jwt=True)
COMPILER = Compiler(TABLE, ALL)

COMPILED = [
    "(u = auth.uid())",
    "(u = ( SELECT auth.uid() AS uid))",
    "(( SELECT auth.uid() AS uid) = u)",
    "((auth.uid())::text = t)",
    "(u = ((auth.jwt() ->> 'sub'::text))::uuid)",
    "(n = (((auth.jwt() -> 'app_metadata'::text) ->> 'team'::text))::integer)",
    "((auth.jwt() #>> '{app_metadata,role}'::text[]) = 'admin'::text)",
    "(t = ((current_setting('request.jwt.claims'::text, true))::json ->> 'email'::text))",
    "(auth.role() = 'authenticated'::text)",
    "((v)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))",
    "(n <> ALL (ARRAY[1, 2]))",
    "(auth.uid() = ANY (uuids))",
    "(t = ANY ('{a,b}'::text[]))",
    "(e = ANY (ARRAY['sad'::public.mood, 'ok'::public.mood]))",
    "(b AND (n IS NOT NULL) AND (NOT (big > '-5'::bigint)))",
    "((b IS TRUE) OR (b IS NOT UNKNOWN))",
    "(at > '2026-01-01 00:00:00+00'::timestamp with time zone)",
    "((n)::numeric > x)",
    "(COALESCE(b, false))",
    "(t IS DISTINCT FROM NULL::text)",
    "(r.n = 1)",
    "(p IS NOT NULL)",
    "true",
]
NEVER = [
    "(now() > at)",
    "(t ~~ 'a%'::text)",
    "(t < 'b'::text)",
    "(e > 'sad'::public.mood)",
    "(ci = 'a'::text)",
    "(js = js)",
    "(j = '{}'::jsonb)",
    "(c = 'a'::bpchar)",
    "(n = ( SELECT m.team FROM public.member m))",
    "(EXISTS ( SELECT 1))",
    "(n IN ( SELECT 1))",
    "(n = ANY (ARRAY( SELECT 1)))",
    "(u = other.uid())",
    "(u = public.uid())",
    "(auth.email() = t)",
    "(u = auth.uid(1))",
    "(lower(t) = 'a'::text)",
    "((n + 1) = 2)",
    "(n OPERATOR(public.=) 1)",
    "((t COLLATE \"C\") = 'a'::text)",
    "(CURRENT_USER = 'anon'::name)",
    "(current_setting('request.jwt.claims'::text, false) IS NULL)",
    "(current_setting('app.tenant'::text, true) = t)",
    "(nothing = 1)",
    "(other.n = 1)",
    "(ctid IS NOT NULL)",
    "((t)::public.citext = 'a'::public.citext)",
    "((t)::character varying(3) = 'abc'::character varying)",
    "((n)::boolean)",
    "(ROW(n, n) = ROW(1, 1))",
    "(r.* IS NULL)",
    "CASE WHEN b THEN true ELSE false END",
    "(n = 1.5)",
    "(t = ANY (j))",
    "(x > ALL (ARRAY[1.0]))",
    "((auth.jwt() -> 0) IS NULL)",
    "((auth.jwt() -> t) IS NULL)",
    "(at > 'tomorrow'::timestamp with time zone)",
    "n",
    "not an expression (",
    "true; select 1",
    "true from pg_class",
]


def row(**values: Any) -> Row:
    return tuple(values.get(column.name, UNKNOWN) for column in TABLE.columns)


def holds(expression: str, claims: Mapping[str, Any], **values: Any) -> bool:
    return compile_predicate([], [expression], COMPILER).holds(row(**values), claims)


@pytest.mark.parametrize("expression", COMPILED)
def test_what_is_certain_is_compiled(expression: str) -> None:
    assert compile_predicate([], [expression], COMPILER).certain


@pytest.mark.parametrize("expression", NEVER)
def test_what_is_not_certain_is_never_compiled(expression: str) -> None:
    predicate = compile_predicate([], [expression], COMPILER)
    assert not predicate.certain
    with pytest.raises(Uncertain):
        predicate.holds(row(), {})


@pytest.mark.parametrize(
    "expression",
    ["(u = auth.uid())", "(auth.role() = 'a'::text)", "((auth.jwt() ->> 'a') IS NULL)"],
)
def test_functions_with_an_unknown_body_are_not_compiled(expression: str) -> None:
    assert not compile_predicate([], [expression], Compiler(TABLE, Functions())).known


@pytest.mark.parametrize(
    ("expression", "claims", "values"),
    [
        ("(u = auth.uid())", {"sub": "not a uuid"}, {"u": b"x"}),
        ("(n = ((auth.jwt() ->> 'a'::text))::integer)", {"a": "0x10"}, {"n": b"16"}),
        ("(n = ((auth.jwt() ->> 'a'::text))::integer)", {"a": "99999999999"}, {"n": b"1"}),
        ("(((auth.jwt() ->> 'a'::text))::boolean)", {"a": "yes"}, {}),
        ("((auth.jwt() ->> 'a'::text) = '1.0'::text)", {"a": 1.0}, {}),
        ("((auth.jwt() ->> 'a'::text) = '{}'::text)", {"a": {}}, {}),
        ("(((auth.jwt() ->> 'a'::text))::date < '2026-01-01'::date)", {"a": "9999-99-99"}, {}),
        ("(n = 1)", {}, {}),
        ("(e <> 'sad'::public.mood)", {}, {"e": b"renamed"}),
        ("((b IS NULL) OR (u = auth.uid()))", {"sub": "x"}, {"b": None, "u": b"x"}),
        ("(current_setting('request.jwt.claims'::text, true) = t)", {}, {"t": b"{}"}),
    ],
)
def test_odd_values_are_left_to_postgres(
    expression: str, claims: dict[str, Any], values: dict[str, Any]
) -> None:
    with pytest.raises(Uncertain):
        holds(expression, claims, **values)


def test_one_part_that_fails_settles_what_must_all_hold() -> None:
    assert not holds("((n = 1) AND (EXISTS ( SELECT 1 FROM public.m)))", {}, n=b"2")
    with pytest.raises(Uncertain):
        holds("((n = 1) AND (EXISTS ( SELECT 1 FROM public.m)))", {}, n=b"1")


def test_one_part_that_holds_does_not_settle_what_may_raise() -> None:
    with pytest.raises(Uncertain):
        holds("((n = 1) OR (EXISTS ( SELECT 1 FROM public.m)))", {}, n=b"1")
    either = compile_predicate([], ["(n = 1)", "(now() > at)"], COMPILER)
    with pytest.raises(Uncertain):
        either.holds(row(n=b"1"), {})


@pytest.mark.parametrize(
    ("expression", "claims"),
    [
        ("(u = auth.uid())", {"sub"}),
        ("(lower(t) = lower((auth.jwt() ->> 'email'::text)))", {"email"}),
        ("((now() > at) AND (auth.role() = 'x'::text))", {"role"}),
        ("((auth.jwt() -> 'a'::text) ? t)", {"a"}),
        ("(auth.jwt() ? t)", ALL_CLAIMS),
        ("(CURRENT_USER = 'anon'::name)", set()),
        ("(EXISTS ( SELECT 1 FROM public.m))", ALL_CLAIMS),
        ("public.mine(n)", ALL_CLAIMS),
        ("(current_setting('x'::text, true) = t)", ALL_CLAIMS),
        ("query_to_xml('select 1'::text, true, true, ''::text) IS NULL", ALL_CLAIMS),
        ("(n OPERATOR(public.=) 1)", ALL_CLAIMS),
        ("((t)::public.odd = t)", ALL_CLAIMS),
        ("not an expression (", ALL_CLAIMS),
    ],
)
def test_the_claims_that_an_expression_may_read_are_known(expression: str, claims: Any) -> None:
    assert claims_read(expression, COMPILER) - claims == set()
    assert claims <= claims_read(expression, COMPILER)


def test_the_columns_that_an_expression_may_read_are_known() -> None:
    assert names_read("((n = 1) AND (r.t = 'x'::text))", "r") == {"n", "t"}
    assert names_read("(EXISTS ( SELECT 1 FROM public.m WHERE (m.team = r.n)))", "r") == {
        "team",
        "n",
    }
    for whole in ("(r.* IS NULL)", "public.f(r.*)", "public.f(r)", "not an expression ("):
        assert names_read(whole, "r") is None


def test_known_definitions_are_told_from_others() -> None:
    assert is_known(
        "uid", "select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid;"
    )
    for body in (
        "select nullif(current_setting('request.jwt.claim.SUB', true), '')::uuid",
        "select nullif(current_setting('request.jwt.claim.sub', true), ' ')::uuid",
        "select null::uuid",
        "select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid from pg_class",
        "select 1; select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid",
        "begin",
        "",
    ):
        assert not is_known("uid", body)


def test_without_a_permissive_policy_there_is_nothing_to_ask() -> None:
    only = Policy("r", False, "true", frozenset({"anon"}))
    assert rule_for([only], "anon", TABLE, ALL).expression is None
    other = Policy("p", True, "true", frozenset({"authenticated"}))
    assert rule_for([only, other], "anon", TABLE, ALL).expression is None
