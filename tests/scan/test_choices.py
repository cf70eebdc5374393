"""Tables, events and names that are one of several written ones."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from realtime_hub.scan import Scan
from tests.scan.parts import scanned

LISTEN = (
    "supabase.channel('x').on('postgres_changes',"
    " { event: EVENT, schema: 'public', table: TABLE }, f).subscribe()"
)
PYTHON = 'client.channel("x").on_postgres_changes("*", table=TABLE, callback=f).subscribe()'
DART = (
    "void main() { TAKE supabase.channel('x').onPostgresChanges("
    "event: PostgresChangeEvent.all, table: TABLE, callback: f).subscribe(); }"
)

BOTH = {
    "a conditional expression": ("a.ts", LISTEN, "archived ? 'a' : 'b'"),
    "one in a variable": ("a.ts", f"const table = old ? 'a' : 'b'\n{LISTEN}", "table"),
    "one in a template": ("a.ts", LISTEN, "`${old ? 'a' : 'b'}`"),
    "one within another": ("a.ts", LISTEN, "old ? 'a' : (older ? 'b' : 'b')"),
    "either of two": ("a.ts", f"let t; if (x) t = 'a'\n{LISTEN}", "t || 'b'"),
    "what a caller gives": (
        "a.ts",
        f"const go = (table) => {{ {LISTEN} }}\ngo(old ? 'a' : 'b')",
        "table",
    ),
    "a field that a caller gives": (
        "a.ts",
        f"const go = ({{ table }}) => {{ {LISTEN} }}\ngo({{ table: old ? 'a' : 'b' }})",
        "table",
    ),
    "a default of what two callers give": (
        "a.ts",
        f"const go = (o) => {{ {LISTEN} }}\ngo({{ table: 'a' }})\ngo({{}})",
        "o.table ?? 'b'",
    ),
    "an item of a loop": (
        "a.ts",
        f"for (const {{ table }} of [{{ table: old ? 'a' : 'b' }}]) {{ {LISTEN} }}",
        "table",
    ),
    "Python": ("a.py", PYTHON, "'a' if old else 'b'"),
    "Python, either of two": ("a.py", f"t = None\nif x:\n    t = 'a'\n{PYTHON}", "t or 'b'"),
    "Dart": ("a.dart", DART.replace("TAKE", ""), "old ? 'a' : 'b'"),
    "Dart, in a variable": (
        "a.dart",
        DART.replace("TAKE", "final table = old ? 'a' : 'b';"),
        "table",
    ),
}

ONE = {
    "a default of what is known": "'a' || 'b'",
    "null, or a literal": "null ?? 'a'",
    "a literal or nothing": "old ? 'a' : undefined",
    "the same twice": "old ? 'a' : 'a'",
}

DYNAMIC = {
    "one that is known only when it runs": ("", "old ? 'a' : other"),
    "what is known only when it runs, or a literal": ("", "other || 'a'"),
    "two choices that may hang together": ("", "`${x ? 'a' : 'b'}_${y ? 'c' : 'd'}`"),
    "a variable that is written twice": ("let t = 'a'\nif (old) t = 'b'\n", "t"),
}


def found(folder: Path, name: str, text: str, table: str, event: str = "'*'") -> Scan:
    code = dedent(text).replace("TABLE", table).replace("EVENT", event)
    return scanned(folder, {name: code})


@pytest.mark.parametrize(("name", "text", "table"), BOTH.values(), ids=BOTH)
def test_each_option_is_a_subscription(tmp_path: Path, name: str, text: str, table: str) -> None:
    scan = found(tmp_path, name, text, table)
    assert {each.table for each in scan.subscriptions} == {"a", "b"}
    assert not scan.unresolved


@pytest.mark.parametrize("table", ONE.values(), ids=ONE)
def test_an_option_that_is_always_taken_is_the_only_one(tmp_path: Path, table: str) -> None:
    scan = found(tmp_path, "a.ts", LISTEN, table)
    assert {each.table for each in scan.subscriptions} == {"a"}
    assert not scan.unresolved


@pytest.mark.parametrize(("before", "table"), DYNAMIC.values(), ids=DYNAMIC)
def test_a_choice_that_is_not_known_whole_stays_dynamic(
    tmp_path: Path, before: str, table: str
) -> None:
    scan = found(tmp_path, "a.ts", before + LISTEN, table)
    assert not scan.subscriptions
    assert scan.unresolved


def test_options_of_one_object_are_taken_together(tmp_path: Path) -> None:
    scan = scanned(
        tmp_path,
        {
            "a.ts": """
            const options = live
              ? { event: 'INSERT', schema: 'public', table: 'a' }
              : { event: 'UPDATE', schema: 'public', table: 'b' }
            supabase.channel('x').on('postgres_changes', options, f).subscribe()
            """
        },
    )
    assert [(each.table, each.event) for each in scan.subscriptions] == [
        ("a", "INSERT"),
        ("b", "UPDATE"),
    ]


def test_a_choice_within_an_option_is_followed(tmp_path: Path) -> None:
    scan = found(tmp_path, "a.ts", LISTEN, "x ? 'a' : y ? 'b' : 'c'")
    assert {each.table for each in scan.subscriptions} == {"a", "b", "c"}
    assert not scan.unresolved


def test_an_event_may_be_one_of_two(tmp_path: Path) -> None:
    scan = found(tmp_path, "a.ts", LISTEN, "'t'", "all ? '*' : 'INSERT'")
    assert [each.event for each in scan.subscriptions] == ["*", "INSERT"]


def test_the_binding_itself_shows_the_expression(tmp_path: Path) -> None:
    scan = found(tmp_path, "a.ts", LISTEN, "old ? 'a' : 'b'")
    (binding,) = scan.channels[0].bindings
    assert (binding.table.text, binding.table.proven) == ("old ? 'a' : 'b'", False)


LEFT_OUT = """
export function useTable(table, only?: { column: string; value: string }) {
  useEffect(() => {
    const channel = supabase.channel(table).on(
      'postgres_changes',
      { event: '*', schema: 'public', table, ...(FILTER) },
      () => {},
    ).subscribe()
    return () => supabase.removeChannel(channel)
  }, [table, only])
}
export const useVisits = () => useTable('visits')
export const useQueue = (doctor) => useTable('queue', { column: 'doctor', value: doctor })
"""


@pytest.mark.parametrize(
    "spread",
    [
        "only ? { filter: `${only.column}=eq.${only.value}` } : {}",
        "only && { filter: `${only.column}=eq.${only.value}` }",
    ],
)
def test_an_argument_that_is_left_out_decides_a_test(tmp_path: Path, spread: str) -> None:
    scan = scanned(tmp_path, {"a.ts": LEFT_OUT.replace("FILTER", spread)})
    assert {(each.table, each.filter.text is None) for each in scan.subscriptions} == {
        ("visits", True),
        ("queue", False),
    }


@pytest.mark.parametrize(("flag", "table"), [("true", "a"), ("false", "b")])
def test_a_constant_decides_a_test(tmp_path: Path, flag: str, table: str) -> None:
    scan = found(tmp_path, "a.ts", f"const old = {flag}\n{LISTEN}", "old ? 'a' : 'b'")
    assert [each.table for each in scan.subscriptions] == [table]


def test_a_filter_that_a_caller_leaves_out_is_none(tmp_path: Path) -> None:
    scan = scanned(
        tmp_path,
        {
            "a.ts": """
            const listen = (table: string, extra?: string) => {
              const filter = extra ?? undefined
              channel.on('postgres_changes', { event: '*', schema: 'public', table, filter }, f)
            }
            const channel = supabase.channel('space')
            listen('pages', 'space=eq.1')
            listen('settings')
            channel.subscribe()
            """
        },
    )
    assert [(each.table, each.filter.text) for each in scan.subscriptions] == [
        ("pages", "space=eq.1"),
        ("settings", None),
    ]


LOOPS = {
    "a loop's table": "table === 'a' && id ? `x=eq.${id}` : undefined",
    "all but one": "table !== 'b' ? `x=eq.${id}` : null",
    "a negated test": "!(table === 'b' || table === 'c') ? `x=eq.${id}` : undefined",
}


@pytest.mark.parametrize("filter", LOOPS.values(), ids=LOOPS)
def test_a_loops_value_decides_a_comparison(tmp_path: Path, filter: str) -> None:
    text = f"""
    const channel = supabase.channel('all')
    ;['a', ...['b']].forEach((table) => {{
      const filter = {filter}
      channel.on('postgres_changes', {{ event: '*', schema: 'public', table, filter }}, f)
    }})
    channel.subscribe()
    """
    scan = scanned(tmp_path, {"a.ts": text})
    assert {each.table: each.filter.text is None for each in scan.subscriptions} == {
        "a": False,
        "b": True,
    }


OTHER_LOOPS = {
    "a.py": (
        "for t in ['a', *('b',)]:\n"
        "    client.channel(t).on_postgres_changes(\n"
        "        '*' if t == 'a' else 'INSERT', table=t, callback=f)\n"
    ),
    "a.dart": (
        "void main() { for (final t in ['a', ...['b']]) { supabase.channel(t).onPostgresChanges("
        "event: t == 'a' ? PostgresChangeEvent.all : PostgresChangeEvent.insert,"
        " table: t, callback: f).subscribe(); } }"
    ),
}


@pytest.mark.parametrize(("name", "text"), OTHER_LOOPS.items())
def test_a_loops_value_decides_a_comparison_in_other_languages(
    tmp_path: Path, name: str, text: str
) -> None:
    scan = scanned(tmp_path, {name: text})
    assert [(each.table, each.event) for each in scan.subscriptions] == [
        ("a", "*"),
        ("b", "INSERT"),
    ]


def test_a_default_takes_the_place_of_what_a_caller_leaves_out(tmp_path: Path) -> None:
    text = """
    export function useRows({ table, filter }: { table: string; filter?: string }) {
      useEffect(() => {
        const options = { event: '*', schema: 'public', table, filter: filter || `x=eq.${id}` }
        const channel = supabase.channel(table).on('postgres_changes', options, f).subscribe()
        return () => supabase.removeChannel(channel)
      }, [table])
    }
    export const useEvents = () => useRows({ table: 'events' })
    """
    (found_one,) = scanned(tmp_path, {"a.ts": text}).subscriptions
    assert (found_one.table, found_one.filter.text) == ("events", "`x=eq.${id}`")


def test_the_rest_of_an_object_keeps_its_fields(tmp_path: Path) -> None:
    text = """
    const watch = (table, key) => ({ event: '*', schema: 'public', table, key })
    const channel = supabase.channel('h')
    for (const { key, ...rest } of [watch('a', 'x'), watch('b', 'y')]) {
      channel.on('postgres_changes', rest, () => refresh(key))
    }
    channel.subscribe()
    """
    scan = scanned(tmp_path, {"a.ts": text})
    assert [each.table for each in scan.subscriptions] == ["a", "b"]


def test_a_callers_argument_decides_a_choice(tmp_path: Path) -> None:
    text = f"const go = (old) => {{ {LISTEN} }}\ngo(true)\n"
    scan = found(tmp_path, "a.ts", text, "old ? 'a' : 'b'")
    assert [each.table for each in scan.subscriptions] == ["a"]


@pytest.mark.parametrize(
    "loop",
    [
        "for (const { table, key, value } of all) { LISTEN }",
        "all.forEach(({ table, key, value }) => { LISTEN })",
    ],
)
def test_a_field_that_an_item_lacks_decides_a_choice(tmp_path: Path, loop: str) -> None:
    listen = """
      supabase.channel(table).on('postgres_changes', {
        event: '*', schema: 'public', table,
        ...(key && value ? { filter: `${key}=eq.${value}` } : {}),
      }, f).subscribe()
    """
    text = "const all = [{ table: 'a', key: 'id', value: user }, { table: 'b' }]\n"
    scan = scanned(tmp_path, {"a.ts": text + loop.replace("LISTEN", listen)})
    assert {each.table: each.filter.text is None for each in scan.subscriptions} == {
        "a": False,
        "b": True,
    }


def test_a_filter_that_a_caller_chooses_is_shown_as_it_is(tmp_path: Path) -> None:
    text = """
    const useRows = ({ table, filter }: { table: string; filter?: string }) => {
      useEffect(() => {
        const name = `rows-${table}${filter ? `-${filter}` : ''}`
        const options = { event: '*', schema: 'public', table: table, filter: filter }
        const made = supabase.channel(name).on('postgres_changes', options, f).subscribe()
        return () => supabase.removeChannel(made)
      }, [table, filter])
    }
    export const useTasks = (group) =>
      useRows({ table: 'tasks', filter: group ? `g=eq.${group}` : undefined })
    """
    (task,) = scanned(tmp_path, {"a.ts": text}).subscriptions
    assert (task.table, task.filter.text) == ("tasks", "`g=eq.${group}`")
