"""The filter language: what parses, into what, and what is refused in which words."""

from __future__ import annotations

import pytest

from realtime_hub.errors import FilterSyntaxError
from realtime_hub.wire.filters import Condition, Operator, parse_filter


def one(text: str) -> Condition:
    [condition] = parse_filter(text)
    return condition


@pytest.mark.parametrize("text", [None, "", "   ", "\n"])
def test_no_text_means_no_condition(text: str | None) -> None:
    assert parse_filter(text) == ()


@pytest.mark.parametrize("operator", [o for o in Operator if o not in (Operator.IN, Operator.IS)])
def test_every_operator_takes_a_value_and_a_negation(operator: Operator) -> None:
    assert one(f"n={operator}.5") == Condition("n", operator, "5")
    assert one(f"n=not.{operator}.5") == Condition("n", operator, "5", negated=True)


def test_commas_join_conditions() -> None:
    assert parse_filter("id=gt.0, id=lt.100") == (
        Condition("id", Operator.GT, "0"),
        Condition("id", Operator.LT, "100"),
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("t=eq.", ""),
        ("t=eq.a.b.c", "a.b.c"),
        ("t=eq.a=b", "a=b"),
        ('t=eq."x,y"', "x,y"),
        ('t=eq."a\\"b\\\\"', 'a"b\\'),
        ("t=eq.(a,(b,c))", "(a,(b,c))"),
        ("t=eq.con espacio ", "con espacio"),
        ("t=eq. 5 ", " 5"),
        ('t=eq." a "', " a "),
        ('t=eq.{"k":1}', '{"k":1}'),
        ('t=eq.a"b', 'a"b'),
        ('t=eq."a"b', '"a"b'),
        ('t=eq."left open, n=eq.5', '"left open, n=eq.5'),
        ("t=eq.null", "null"),
    ],
)
def test_a_value_is_everything_after_the_operator_without_its_quotes(text: str, value: str) -> None:
    assert one(text).value == value


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("()", ()),
        ("( )", ()),
        ("(5, 10)", ("5", "10")),
        ('("abc","a,b")', ("abc", "a,b")),
        ('("a" , b c )', ("a", "b c")),
        ('("")', ("",)),
        ('("a\\"b\\\\",c\\,d,e\\ )', ('a"b\\', "c,d", "e ")),
        ("((par),x)", ("(par)", "x")),
        ("(null,1)", ("1",)),
        ('("null",1)', ("null", "1")),
    ],
)
def test_members_are_read_as_elements_of_an_array(text: str, members: tuple[str, ...]) -> None:
    assert one(f"t=in.{text}") == Condition("t", Operator.IN, members)


def test_nothing_is_outside_a_list_with_null() -> None:
    assert one("n=not.in.(1,null)") == Condition("n", Operator.IN, ())


def test_a_hundred_members_are_taken_and_no_more() -> None:
    numbers = [str(n) for n in range(101)]
    assert one(f"n=in.({','.join(numbers[:100])})").value == tuple(numbers[:100])
    with pytest.raises(FilterSyntaxError, match=r"^too many values for `in` filter. Maximum 100$"):
        parse_filter(f"n=in.({','.join(numbers)})")


@pytest.mark.parametrize("value", ["null", "true", "false", "unknown"])
def test_is_takes_four_words(value: str) -> None:
    assert one(f"b=not.is.{value}") == Condition("b", Operator.IS, value, negated=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("undefined", "filter without ="),
        ("n=eq.5,", "empty filter segment"),
        (",,,", "empty filter segment"),
        ("n=foo.1", "unknown operator foo"),
        ("n=not.not.eq.1", "unknown operator not"),
        ("n=cs.{a}", "unknown operator cs"),
        ("n=1", "unknown operator 1"),
        ("n=eq", "filter without a value"),
        ("=eq.1", "invalid column for filter"),
        ("arr=eq.{1,2}", "filter without = in 2}"),
        ("n=in.5,6", "in needs parentheses"),
        ("n=in.(5", "in needs parentheses"),
        ("n=is.5", "invalid value for is filter: must be null, true, false, or unknown"),
        ("n=in.(a,)", "malformed list"),
        ("n=in.({1})", "malformed list"),
        ('n=in.("a"b)', "malformed list"),
        ('n=in.("a)', "malformed list"),
        ("n=in.(a\\)", "malformed list"),
        ("es\0tado=eq.a", "invalid column for filter es"),
        ("n=eq.a\0b", "can't store"),
        ("n=in.(a\0b)", "can't store"),
        ("n=eq.\ud800", "can't store"),
        ("\ud800=eq.1", "invalid column"),
    ],
)
def test_what_is_not_a_filter_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(FilterSyntaxError) as refusal:
        parse_filter(text)
    assert words in str(refusal.value)
    assert str(refusal.value).encode()


@pytest.mark.parametrize(
    "text",
    [
        "n=in.(" + "," * 60_000 + ")",
        "n=in.(" + "(" * 30_000 + ")" * 30_000 + ")x",
        "n=in.(a" + " " * 60_000 + '"b)',
        "n=in.(" + "\\" * 60_001 + ")",
        'n=in.("' + "\\" * 60_000 + "a)",
        "n=in.(" + '"' * 60_001 + ")",
        f"n=in.({','.join(map(str, range(10_000)))})",
        '(.",' * 15_000,
        ",".join(["n=eq.1"] * 101),
        "n=eq." + "9" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_refusal_of_a_monstrous_filter_is_short(text: str) -> None:
    with pytest.raises(FilterSyntaxError) as refusal:
        parse_filter(text)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["n=eq.5", 't=not.in.("a,b",c)', "b=is.null", 't=like."50\\\\% (net)"', "id=isdistinct."],
)
def test_a_condition_writes_itself_as_a_filter(text: str) -> None:
    condition = one(text)
    assert one(str(condition)) == condition
