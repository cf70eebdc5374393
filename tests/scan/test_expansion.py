"""What parameters, loops, lists and frames written by hand come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.scan import Style
from tests.scan.parts import one, scanned

ON = "{ event, schema: 'public', table }"

EACH_TWO = {
    "a list that a method is given": (
        """
        const live = {
          many(tables, f) {
            let channel = supabase.channel('m')
            tables.forEach((t) => {
              channel = channel.on('postgres_changes', { event: '*', table: t }, f)
            })
            return channel.subscribe()
          },
        }
        live.many(['a', 'b'], f)
        """,
        {("a", "*"), ("b", "*")},
    ),
    "a list made with map": (
        """
        const TABLES = ['a', 'b'].map((table) => ({ table, event: 'INSERT' }))
        TABLES.forEach(({ table, event }) => {
          supabase.channel(table).on('postgres_changes', ON, f).subscribe()
        })
        """,
        {("a", "INSERT"), ("b", "INSERT")},
    ),
    "two loops": (
        """
        for (const table of ['a', 'b']) {
          ['INSERT', 'UPDATE'].forEach((event) => {
            supabase.channel(table).on('postgres_changes', ON, f).subscribe()
          })
        }
        """,
        {(table, event) for table in "ab" for event in ("INSERT", "UPDATE")},
    ),
    "reduce": (
        """
        const channel = ['a', 'b'].reduce(
          (c, table) => c.on('postgres_changes', { event: '*', table }, f),
          supabase.channel('r'),
        )
        channel.subscribe()
        """,
        {("a", "*"), ("b", "*")},
    ),
    "an object's entries": (
        """
        const HANDLERS = { a: f, b: g }
        for (const [table, handler] of Object.entries(HANDLERS)) {
          supabase.channel(table).on('postgres_changes', { event: '*', table }, handler).subscribe()
        }
        """,
        {("a", "*"), ("b", "*")},
    ),
    "defaults and what is left out": (
        """
        function live({ table, event = '*', filter }) {
          supabase.channel(table).on('postgres_changes', { event, table, filter }, f).subscribe()
        }
        live({ table: 'a' })
        live({ table: 'b', event: 'DELETE' })
        """,
        {("a", "*"), ("b", "DELETE")},
    ),
    "a function that makes the options": (
        """
        const options = (table, more) => ({ event: '*', schema: 'public', table, ...more })
        supabase.channel('x')
          .on('postgres_changes', options('a'), f)
          .on('postgres_changes', { ...options('b'), event: 'UPDATE' }, f)
          .subscribe()
        """,
        {("a", "*"), ("b", "UPDATE")},
    ),
    "a kind that is given": (
        """
        const live = ({ kind = REALTIME_LISTEN_TYPES.POSTGRES_CHANGES, table, event }) =>
          supabase.channel(table).on(kind, ON, f).subscribe()
        live({ table: 'a', event: '*' })
        live({ table: 'b', event: '*' })
        """,
        {("a", "*"), ("b", "*")},
    ),
    "wrappers in wrappers": (
        """
        const open = (table, event) =>
          supabase.channel(table).on('postgres_changes', ON, f).subscribe()
        const inserts = (name) => open(name, 'INSERT')
        inserts('a')
        inserts('b')
        """,
        {("a", "INSERT"), ("b", "INSERT")},
    ),
    "a frame's list made with map": (
        """
        const TABLES = ['a', 'b']
        socket.send(JSON.stringify({ topic: 'realtime:x', event: 'phx_join', ref: 1, payload: {
          config: { postgres_changes: TABLES.map((table) => ({ event: '*', table })) },
        } }))
        """,
        {("a", "*"), ("b", "*")},
    ),
    "a frame's configuration that is given": (
        """
        const join = (topic, payload) =>
          socket.send(JSON.stringify({ topic, event: 'phx_join', payload, ref: 1 }))
        join('realtime:a', { config: { postgres_changes: [{ event: '*', table: 'a' }] } })
        join('realtime:b', { config: { postgres_changes: [{ event: '*', table: 'b' }] } })
        """,
        {("a", "*"), ("b", "*")},
    ),
}


ON_ITSELF = {
    "a loop over a part of its own variable": (
        "src/tree.ts",
        """
        for (const node of node.children) {
          const channel = supabase.channel('x')
          channel.on('postgres_changes', { event: '*', table: node.table }, f).subscribe()
        }
        """,
        ("node.table", "*"),
    ),
    "a loop over its own variable, in Python": (
        "src/lines.py",
        """
        def follow(line):
            for line in line.split():
                channel = client.channel("x")
                channel.on_postgres_changes("*", schema="public", table=line, callback=f)
        """,
        ("line", "*"),
    ),
    "an object that takes itself over": (
        "src/all.ts",
        """
        let all = { event: 'INSERT' }
        all = { ...all, table: 'boats' }
        const channel = supabase.channel('x')
        channel.on('postgres_changes', { event: all.event, table: all.table }, f).subscribe()
        """,
        ("boats", "INSERT"),
    ),
    "a text put together with itself": (
        "src/text.ts",
        """
        let table = 'boats'
        table = `${table}_${season}`
        supabase.channel('x').on('postgres_changes', { event: '*', table }, f).subscribe()
        """,
        ("table", "*"),
    ),
    "classes that extend each other": (
        "src/classes.ts",
        """
        class Back extends Front {
          go() {
            const channel = supabase.channel('x')
            channel.on('postgres_changes', { event: '*', table: this.table }, f).subscribe()
          }
        }
        class Front extends Back {}
        new Front().go()
        """,
        ("this.table", "*"),
    ),
}


@pytest.mark.parametrize("what", ON_ITSELF)
def test_what_hangs_on_itself_comes_to_an_end(tmp_path: Path, what: str) -> None:
    name, text, said = ON_ITSELF[what]
    found = scanned(tmp_path, {name: text})
    assert {(each.table, each.event) for each in (*found.subscriptions, *found.unresolved)} == {
        said
    }


@pytest.mark.parametrize(("text", "expected"), EACH_TWO.values(), ids=EACH_TWO)
def test_each_table_is_found(tmp_path: Path, text: str, expected: set[tuple[str, str]]) -> None:
    found = scanned(tmp_path, {"x.ts": text.replace("ON", ON)})
    assert {(each.table, each.event) for each in found.subscriptions} == expected
    assert all(each.filter.text is None for each in found.subscriptions)
    assert found.unresolved == []


def test_bindings_made_in_another_file_belong_to_the_channel(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "bind.ts": """
            export function listen(channel: RealtimeChannel, table: string) {
              return channel.on('postgres_changes', { event: '*', schema: 'public', table }, f)
            }
            """,
            "Page.tsx": """
            import { listen } from './bind'
            export function Page() {
              useEffect(() => {
                const channel = supabase.channel('page')
                listen(channel, 'a').subscribe()
                return () => { supabase.removeChannel(channel) }
              }, [])
              return <p />
            }
            """,
        },
    )
    (channel,) = found.channels
    (binding,) = channel.bindings
    assert (channel.file, binding.file, binding.line) == ("Page.tsx", "bind.ts", 2)
    assert [(s.table, str(s.place)) for s in found.subscriptions] == [("a", "Page.tsx:5")]


def test_a_channel_that_can_not_be_followed_keeps_its_bindings(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        "export const listen = (channel) =>"
        " channel.on('postgres_changes', { event: '*', table: 'a' }, f)\n",
    )
    assert (channel.name, channel.name_kind) == ("channel", "dynamic")
    assert [binding.table.text for binding in channel.bindings] == ["a"]


@pytest.mark.parametrize(
    "frame",
    [
        "{ topic: 'realtime:public:t', event: 'phx_join', payload: {}, ref: 1 }",
        "['1', '1', 'realtime:x', 'phx_join',"
        " { config: { postgres_changes: [{ event: '*', schema: 'public', table: 't' }] } }]",
    ],
)
def test_joins_written_by_hand_are_channels(tmp_path: Path, frame: str) -> None:
    channel = one(tmp_path, f"socket.send(JSON.stringify({frame}))\n", "x.js")
    assert channel.style is Style.RAW
    assert [binding.table.text for binding in channel.bindings] == ["t"]


def test_a_join_written_in_a_helper_has_what_its_callers_ask_for(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "socket.js": """
            class Court {
              opened() {
                const join = (topic, payload) => {
                  const ref = `${topic}-${Date.now()}`
                  this.socket.send(JSON.stringify({ topic, event: 'phx_join', payload, ref }))
                }
                join('realtime:public:matches', {
                  config: { postgres_changes: [{ event: 'UPDATE', schema: 'public', table: 'm' }] },
                })
                join('realtime:chat', { config: { broadcast: { self: false } } })
              }
            }
            """
        },
    )
    assert [(each.table, each.event, each.place.line) for each in found.subscriptions] == [
        ("m", "UPDATE", 7)
    ]


def test_an_object_is_followed_through_several_functions(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "manager.ts": """
            class Manager {
              open(options: Options) {
                supabase.channel('x')
                  .on('postgres_changes', { event: '*', table: options.table }, f).subscribe()
              }
            }
            export const manager = new Manager()
            export const useTable = (options: Options) => {
              useEffect(() => manager.open(options), [])
            }
            """,
            "Page.tsx": """
            import { useTable } from './manager'
            export function Page() { useTable({ table: 'stock' }); return <p /> }
            """,
        },
    )
    assert [(each.table, str(each.place)) for each in found.subscriptions] == [
        ("stock", "Page.tsx:2")
    ]


def test_commented_out_code_is_a_channel_that_is_not_reached(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "a.tsx": """
            export function Chat() {
              // const old = supabase.channel('old')
              //   .on('postgres_changes', { event: '*', schema: 'public', table: 'a' }, f)
              //   .subscribe()
              /* supabase.channel('older')
                 .on('postgres_changes', { event: '*', schema: 'public', table: 'b' }, f) */
              // supabase.channel(name) opens a channel: not code
              return <p />
            }
            /** supabase.channel('x').on('postgres_changes', {}, f) is how one listens. */
            """,
            "b.py": """
            def main():
                # client.channel("old").on_postgres_changes(
                #     "*", schema="public", table="c", callback=f
                # ).subscribe()
                pass
            """,
        },
    )
    assert [
        (c.file, c.line, c.owner, c.bindings[0].table.text, c.commented, c.reachable)
        for c in found.channels
    ] == [
        ("a.tsx", 2, "Chat", "a", True, False),
        ("a.tsx", 5, "Chat", "b", True, False),
        ("b.py", 2, "main", "c", True, False),
    ]
    assert found.subscriptions == []


REACHED = {
    "in a branch never taken": "if (false) { LISTEN }",
    "in a function that nothing calls": "const dead = () => { LISTEN }",
    "in one that only such a function calls": (
        "function inner() { LISTEN }\nfunction outer() { inner() }"
    ),
    "in one that calls itself only": "function again() { LISTEN; again() }",
}


@pytest.mark.parametrize("text", REACHED.values(), ids=REACHED)
def test_code_that_nothing_runs_is_said_not_to_be_reached(tmp_path: Path, text: str) -> None:
    listen = "supabase.channel('x').on('postgres_changes', { event: '*', table: 't' }, f)"
    assert not one(tmp_path, text.replace("LISTEN", listen), "x.ts").reachable


def test_an_export_that_no_importer_of_its_file_uses_is_not_reached(tmp_path: Path) -> None:
    listen = "supabase.channel('x').on('postgres_changes', { event: '*', table: 't' }, f)"
    found = scanned(
        tmp_path,
        {
            "service.ts": f"export function load() {{}}\nexport function watch() {{ {listen} }}\n",
            "page.ts": "import { load } from './service'\nload()\n",
        },
    )
    assert [channel.reachable for channel in found.channels] == [False]


def test_publication_statements_are_read_within_blocks_too(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "supabase/migrations/1.sql": """
            create table a (id int);
            alter publication supabase_realtime add table a, shop.b;
            do $$ begin
              alter publication supabase_realtime drop table a;
            end $$;
            """
        },
    )
    assert [(each.line, each.action, list(each.tables)) for each in found.publication] == [
        (2, "add", ["a", "shop.b"]),
        (4, "drop", ["a"]),
    ]


def test_a_list_made_of_itself_is_read_once(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "live.ts": """
            class Live {
              tables = ['a', 'b']
              start() {
                this.tables = this.tables.filter((table) => table !== skipped)
                for (const table of this.tables) {
                  supabase.channel(table)
                    .on('postgres_changes', { event: '*', schema: 'public', table }, f).subscribe()
                }
              }
            }
            export const live = new Live()
            """
        },
    )
    assert [each.table for each in found.subscriptions] == ["a", "b"]


TYPED = """
export interface Handlers { onInsert?: (row: unknown) => void; done(): void }
export interface Wider extends Handlers { more?: string }
export function useChanges({ event = '*', schema = 'public', table, onInsert }: Options) {
  useEffect(() => {
    const channel = supabase.channel(table)
      .on('postgres_changes', { event, schema, table }, onInsert).subscribe()
    return () => supabase.removeChannel(channel)
  }, [table])
}
export function useMatch(handlers: TYPE) {
  return useChanges({ table: 'matches', ...handlers })
}
"""


@pytest.mark.parametrize(
    ("type_name", "known"),
    [
        ("{ onInsert?: (row: unknown) => void }", True),
        ("Handlers", True),
        ("{ event?: string }", False),
        ("Wider", False),
        ("{ [key: string]: unknown }", False),
        ("Elsewhere", False),
        ("any", False),
    ],
)
def test_a_written_type_says_what_an_argument_can_not_have(
    tmp_path: Path, type_name: str, known: bool
) -> None:
    found = scanned(tmp_path, {"use.ts": TYPED.replace("TYPE", type_name)})
    assert bool(found.subscriptions) is known
    assert bool(found.unresolved) is not known


ON_TABLE = (
    "supabase.channel('x').on('postgres_changes', { event: '*', table: TABLE }, f).subscribe()"
)

CHANGED = {
    "a counter": ("a.ts", f"for (let i = 0; i < 2; i++) {{ {ON_TABLE} }}", "['a', 'b'][i]"),
    "text that is added to": ("a.ts", f"let t = 'a'\nt += '_b'\n{ON_TABLE}", "t"),
    "text that may be another": ("a.ts", f"let t = 'a'\nt &&= 'b'\n{ON_TABLE}", "t"),
    "text that is added to, in Python": (
        "a.py",
        "t = 'a'\nt += '_b'\nclient.channel('x').on_postgres_changes('*', table=t, callback=f)",
        "t",
    ),
    "text that is added to, in Dart": (
        "a.dart",
        "void main() { var t = 'a'; t += '_b'; supabase.channel('x').onPostgresChanges("
        "event: PostgresChangeEvent.all, table: t, callback: f).subscribe(); }",
        "t",
    ),
    "a counter, in Dart": (
        "a.dart",
        "void main() { for (var i = 0; i < 2; i++) { supabase.channel('x').onPostgresChanges("
        "event: PostgresChangeEvent.all, table: ['a', 'b'][i], callback: f).subscribe(); } }",
        "['a', 'b'][i]",
    ),
}


@pytest.mark.parametrize(("name", "text", "table"), CHANGED.values(), ids=CHANGED)
def test_what_is_changed_in_place_is_not_what_was_written_first(
    tmp_path: Path, name: str, text: str, table: str
) -> None:
    found = scanned(tmp_path, {name: text.replace("TABLE", table)})
    assert not found.subscriptions
    assert [each.table for each in found.unresolved] == [table]


def test_items_that_are_added_to_a_list_are_found(tmp_path: Path) -> None:
    loop = "for (const t of tables) { LISTEN }".replace("LISTEN", ON_TABLE.replace("TABLE", "t"))
    text = f"const tables = ['a']\nif (more) tables.push('b', other)\n{loop}\n"
    found = scanned(tmp_path, {"a.ts": text})
    assert [each.table for each in found.subscriptions] == ["a", "b"]
    assert [each.table for each in found.unresolved] == ["t"]


@pytest.mark.parametrize("made", ["dict(table='a')", "{'table': 'a'}"])
def test_named_arguments_may_be_unpacked(tmp_path: Path, made: str) -> None:
    text = (
        f"options = {made}\n"
        "client.channel('x').on_postgres_changes('INSERT', callback=f, **options)\n"
        "client.channel('y').on_postgres_changes('INSERT', callback=f, **other)\n"
    )
    found = scanned(tmp_path, {"a.py": text})
    assert [(each.table, each.schema, each.event) for each in found.subscriptions] == [
        ("a", "public", "INSERT")
    ]
    assert [each.table for each in found.unresolved] == ["other"]


TAKEN_OVER = {
    "{ event: '*', table: 'a', ...other }": [],
    "{ ...other, event: '*', schema: 'public', table: 'a', filter: 'x=eq.1' }": ["a"],
    "{ event: '*', table: 'a', ...{ table: 'b' } }": ["b"],
    "{ ...{ table: 'b' }, event: '*', table: 'a' }": ["a"],
    "{ event: '*', table: 'a', ...(x ? { table: 'b' } : {}) }": ["a", "b"],
    "{ event: '*', table: 'a', ...(x ? { filter: 'x=eq.1' } : {}) }": ["a"],
    "{ event: '*', table: 'a', [key]: 'b' }": [],
}


@pytest.mark.parametrize(("options", "tables"), TAKEN_OVER.items())
def test_what_is_taken_over_behind_a_field_may_replace_it(
    tmp_path: Path, options: str, tables: list[str]
) -> None:
    text = f"supabase.channel('x').on('postgres_changes', {options}, f).subscribe()\n"
    found = scanned(tmp_path, {"a.ts": text})
    assert sorted(each.table for each in found.subscriptions) == tables
    assert bool(found.unresolved) is not bool(tables)
