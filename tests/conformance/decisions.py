"""Where we answer otherwise than the recorded server, and why.

A decision changes the recorded outcome into exactly the one we owe; docs/compatibility.md
tells users the same. NOT_YET lists cases that the gateway does not answer yet: an entry that
passes fails the suite, so the list can only shrink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.conformance.cases import Event, Number, Outcome, exact

ANA = "11111111-1111-4111-8111-111111111111"
BETO = "22222222-2222-4222-8222-222222222222"


@dataclass(frozen=True, slots=True)
class Decision:
    """`change` edits the recorded outcome in place.

    otherwise: the one other exact outcome, where two moments may fall either way round.
    """

    reason: str
    change: Callable[[Outcome], None]
    otherwise: Callable[[Outcome], None] | None = None


def _insert(table: str, columns: str, record: str, schema: str = "public") -> Event:
    return Event(schema, table, "INSERT", columns.split(), None, exact(record))


def _char_keeps_its_width(outcome: Outcome) -> None:
    outcome.events["A"][0].record |= {"e": "ab   "}  # type: ignore[operator]


def _bit_keeps_its_width(outcome: Outcome) -> None:
    outcome.events["A"][0].record |= {"d": "1010"}  # type: ignore[operator]


def _char_filters_compare_the_full_value(outcome: Outcome) -> None:
    for events in outcome.events.values():
        events[0].record |= {"c": "ab   "}  # type: ignore[operator]


def _types_of_the_time_of_the_write(outcome: Outcome) -> None:
    outcome.events["A"][0].columns = ["id:int4", "a:int4"]


def _columns_of_the_time_of_the_write(outcome: Outcome) -> None:
    outcome.events["A"][0].columns = ["id:int4", "a:int4"]


def _the_insert_is_judged_by_itself(outcome: Outcome) -> None:
    insert = _insert(
        "nota", "id:int4 dueno:uuid texto:text", f'{{"id": 1, "dueno": "{ANA}", "texto": "x"}}'
    )
    outcome.events["A"].insert(0, insert)


def _each_state_goes_to_its_owner(outcome: Outcome) -> None:
    outcome.events["A"] = [outcome.events["B"].pop(0)]


def _nothing_is_lost_when_a_policy_raises(outcome: Outcome) -> None:
    columns = "id:int4 n:int4"
    outcome.events["A"] = [
        _insert("nota", columns, f'{{"id": {ident}, "n": 1}}') for ident in (1, 3, 4)
    ]


def _nothing_is_lost_when_a_column_is_dropped(outcome: Outcome) -> None:
    insert = _insert("nota", "id:int4 a:int4 b:int4", '{"id": 1, "a": 1, "b": 1}')
    outcome.events["A"].insert(0, insert)


def _a_column_that_is_gone_is_hidden(outcome: Outcome) -> None:
    insert = _insert("nota", "id:int4 a:int4", '{"id": 1, "a": 1}')
    outcome.events["A"].insert(0, insert)


def _a_known_old_row_is_judged(outcome: Outcome) -> None:
    outcome.events["B"] = []


def _the_new_owner_gets_the_old_key_only(outcome: Outcome) -> None:
    outcome.events["B"][0].old_record = {"id": Number("1")}


def _a_hidden_old_value_matches_no_filter(outcome: Outcome) -> None:
    del outcome.events["A1"][1]


def _no_usage_no_rows(outcome: Outcome) -> None:
    outcome.events["A"] = []


def _no_key_no_delete_under_rls(outcome: Outcome) -> None:
    del outcome.events["A"][1]


def _the_old_row_fills_filters_too(outcome: Outcome) -> None:
    insert = outcome.events["L"][0]
    assert insert.record is not None
    update = replace(
        insert,
        type="UPDATE",
        record=insert.record | {"titulo": "t2"},
        old_record=dict(insert.record),
    )
    outcome.events["L"].append(update)


def _row_filters_are_honoured(outcome: Outcome) -> None:
    del outcome.events["A"][1]


def _changes_come_under_the_roots_name(outcome: Outcome) -> None:
    insert = _insert("pm", "id:int4 mes:int4 v:text", '{"id": 1, "mes": 1, "v": "a"}')
    outcome.events["ROOT"] = [insert]


DECISIONS: dict[str, Decision] = {
    "t04": Decision(
        "char(n) is delivered in full, padded as PostgreSQL prints it", _char_keeps_its_width
    ),
    "t17": Decision("bit(n) is delivered in full", _bit_keeps_its_width),
    "t22": Decision(
        "columns are those of the moment of the change, as its values are",
        _types_of_the_time_of_the_write,
    ),
    "f23": Decision(
        "a filter on char(n) compares the full value", _char_filters_compare_the_full_value
    ),
    "r04": Decision(
        "a DELETE whose old row is known goes only to who could see that row",
        _a_known_old_row_is_judged,
    ),
    "r05": Decision(
        "a new owner is not shown the previous owner's row",
        _the_new_owner_gets_the_old_key_only,
    ),
    "r10": Decision(
        "a change is judged by itself, so a row deleted since was inserted all the same",
        _the_insert_is_judged_by_itself,
    ),
    "r11": Decision(
        "a change is judged by itself, so what was written while A owned it goes to A",
        _each_state_goes_to_its_owner,
    ),
    "r14": Decision(
        "a filter on an old value that is not delivered does not match",
        _a_hidden_old_value_matches_no_filter,
    ),
    "r20": Decision(
        "a policy that raises withholds that one change and no other",
        _nothing_is_lost_when_a_policy_raises,
    ),
    "r22": Decision(
        "a column dropped after the write loses no change; who may read it can be told only if "
        "it was still there when the table was looked up, and it is left out otherwise",
        _nothing_is_lost_when_a_column_is_dropped,
        otherwise=_a_column_that_is_gone_is_hidden,
    ),
    "r23": Decision(
        "columns are those of the moment of the change", _columns_of_the_time_of_the_write
    ),
    "g09": Decision("no USAGE on the schema: withheld", _no_usage_no_rows),
    "k07": Decision(
        "without a primary key nobody can be told which row went, so under RLS nobody is",
        _no_key_no_delete_under_rls,
    ),
    "o04": Decision(
        "an unchanged TOAST value known from the old row is filtered on as any other",
        _the_old_row_fills_filters_too,
    ),
    "u04": Decision(
        "what the publication's row filter hides is never sent", _row_filters_are_honoured
    ),
    "n02": Decision(
        "changes of a root published as such come out under its name",
        _changes_come_under_the_roots_name,
    ),
}


def _text_order_is_the_collations(outcome: Outcome) -> None:
    outcome.events["F4"] = []


LINGUISTIC: dict[str, Decision] = {
    "f04": Decision(
        "text is ordered by the column's collation: abc comes before ABZ in Spanish",
        _text_order_is_the_collations,
    ),
}
"""Further decisions for a database whose collation is a language's; recorded was C."""

NOT_YET: dict[str, str] = {}
"""Case id -> what is missing."""
