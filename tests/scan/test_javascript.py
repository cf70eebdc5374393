"""Channels in TypeScript and JavaScript."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.scan import Cleanup, Style
from realtime_hub.scan.model import Term
from tests.scan.parts import one, scanned, tables


def test_a_chain_over_many_lines_is_one_channel_with_each_of_its_bindings(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        export function Chat({ room }) {
          useEffect(() => {
            const channel = supabase
              .channel('chat')
              .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, add)
              .on('broadcast', { event: 'typing' }, show)
              .on('presence', { event: 'sync' }, () => {})
              .subscribe()
            return () => { supabase.removeChannel(channel) }
          }, [])
        }
        """,
    )
    assert (channel.line, channel.owner, channel.name, channel.name_kind) == (
        4,
        "Chat",
        "'chat'",
        "literal",
    )
    assert [(b.line, b.kind, b.event.text, b.table.text) for b in channel.bindings] == [
        (5, "postgres_changes", "INSERT", "messages"),
        (6, "broadcast", "typing", None),
        (7, "presence", "sync", None),
    ]
    assert channel.cleanup is Cleanup.YES
    assert channel.style is Style.CHANNEL
    assert channel.reachable
    assert not channel.unique_per_mount


def test_a_channels_ranges_hold_what_they_are_named_after(tmp_path: Path) -> None:
    source = """const channel = db.channel('a')
  .on('postgres_changes', { event: '*', schema: 'public', table: 't' }, (p) => use(p))
channel.subscribe()
db.removeChannel(channel)
"""
    channel = one(tmp_path, source, "a.js")
    (binding,) = channel.bindings
    (opened,) = channel.subscribe
    (closing,) = channel.closings
    assert binding.handler is not None
    assert binding.options is not None
    at = {
        "call": channel.call,
        "client": channel.client,
        "chain": channel.chain,
        "statement": channel.statement,
        "handler": binding.handler,
        "options": binding.options,
        "opened": opened,
        "closing": closing.statement,
    }
    texts = {name: source[span.start : span.end] for name, span in at.items()}
    lines = source.splitlines()
    assert texts == {
        "call": "db.channel('a')",
        "client": "db",
        "chain": source[len("const channel = ") :].split("\nchannel.")[0],
        "statement": "\n".join(lines[:2]),
        "handler": "(p) => use(p)",
        "options": "{ event: '*', schema: 'public', table: 't' }",
        "opened": "channel.subscribe()",
        "closing": "db.removeChannel(channel)",
    }
    assert channel.variable == "channel"
    assert source[binding.opening] == "("


@pytest.mark.parametrize(
    ("event", "options"),
    [
        ("'postgres_changes'", "{ event: 'UPDATE', schema: 'public', table: 'orders' }"),
        ("'postgres_changes' as any", "{ event: 'UPDATE', table: 'orders' } as const"),
        (
            "REALTIME_LISTEN_TYPES.POSTGRES_CHANGES",
            "{ event: REALTIME_POSTGRES_CHANGES_LISTEN_EVENT.UPDATE, table: `orders` }",
        ),
        ("KIND", "{ ...BASE, event: EVENTS.changed, table: TABLES['orders'] }"),
        ("KIND", "config"),
    ],
)
def test_a_binding_is_proven_however_it_is_written(
    tmp_path: Path, event: str, options: str
) -> None:
    channel = one(
        tmp_path,
        f"""
        const KIND = 'postgres_changes'
        const BASE = {{ schema: 'public' }}
        const EVENTS = {{ changed: 'UPDATE' }} as const
        enum TABLES {{ orders = 'orders' }}
        const config: any = {{ event: 'UPDATE' }}
        config.table = 'orders'
        const channel = client.channel('x')
        channel.on({event}, {options}, () => {{}})
        """,
        "src/x.ts",
    )
    (binding,) = channel.bindings
    assert (binding.event, binding.schema, binding.table, binding.filter) == (
        Term("UPDATE"),
        Term("public"),
        Term("orders"),
        Term(),
    )
    assert binding.proven


def test_what_only_running_code_knows_is_its_source_expression(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        export const watch = (props) => supabase.channel(props.name)
          .on('postgres_changes', { event: props.event, schema: 'public', table: props.table,
            filter: `room=eq.${props.room}` }, props.handler)
        """,
        "src/x.ts",
    )
    (binding,) = channel.bindings
    assert (channel.name, channel.name_kind) == ("props.name", "dynamic")
    assert binding.event == Term("props.event", proven=False)
    assert binding.table == Term("props.table", proven=False)
    assert binding.filter == Term("`room=eq.${props.room}`", proven=False)
    assert binding.unresolved == ["event", "table", "filter"]


def test_a_hooks_callers_are_the_subscriptions_in_effect(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "src/hooks/useTable.ts": """
            import { supabase } from '@/lib/supabase'
            export function useTable(table: string, event: string, handler: () => void) {
              useEffect(() => {
                const channel = supabase.channel('t-' + table)
                  .on('postgres_changes', { event, schema: 'public', table }, handler)
                  .subscribe()
                return () => { supabase.removeChannel(channel) }
              }, [table])
            }
            """,
            "src/Orders.tsx": """
            import { useTable as useLive } from './hooks/useTable'
            export const Orders = () => {
              useLive('orders', 'INSERT', reload)
              useLive('items', '*', reload)
              return <p />
            }
            """,
        },
    )
    assert tables(found) == [("orders", "INSERT", 3), ("items", "*", 4)]
    assert {each.via for each in found.subscriptions} == {"src/hooks/useTable.ts:5"}
    assert {each.owner for each in found.subscriptions} == {"Orders"}
    assert found.unresolved == []


@pytest.mark.parametrize(
    "loop",
    [
        "for (const table of ['a', 'b']) { LISTEN }",
        "['a', 'b'].forEach((table) => { LISTEN })",
        "TABLES.map(table => LISTEN)",
        "for (const { table } of CONFIG) { LISTEN }",
        "Object.entries(HANDLERS).forEach(([table, handler]) => { LISTEN })",
        "for (const table of Object.keys(HANDLERS)) { LISTEN }",
    ],
)
def test_a_loop_over_a_written_list_comes_to_one_subscription_each(
    tmp_path: Path, loop: str
) -> None:
    listen = (
        "supabase.channel(table)"
        ".on('postgres_changes', { event: '*', schema: 'public', table }, f).subscribe()"
    )
    found = scanned(
        tmp_path,
        {
            "x.ts": f"""
            const TABLES = ['a', 'b']
            const CONFIG = [{{ table: 'a' }}, {{ table: 'b' }}]
            const HANDLERS = {{ a: f, b: f }};
            {loop.replace("LISTEN", listen)}
            """
        },
    )
    assert [each.table for each in found.subscriptions] == ["a", "b"]
    (channel,) = found.channels
    assert [b.proven for b in channel.bindings] == [False]


@pytest.mark.parametrize(
    ("name", "anew"),
    [
        ("`room-${Date.now()}`", True),
        ("'room-' + Math.random().toString(36)", True),
        ("`room:${crypto.randomUUID()}`", True),
        ("name", True),
        ("`room-${roomId}`", False),
        ("'room'", False),
    ],
)
def test_a_name_made_anew_on_each_mount_is_seen(tmp_path: Path, name: str, anew: bool) -> None:
    channel = one(
        tmp_path,
        f"""
        export function Room({{ roomId }}) {{
          const name = useRef(`x-${{uuidv4()}}`).current
          useEffect(() => {{
            supabase.channel({name}).on('broadcast', {{ event: 'x' }}, f).subscribe()
          }}, [])
        }}
        """,
    )
    assert channel.unique_per_mount is anew


def test_the_first_versions_style_names_its_table_in_from(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "v1.js": """
            const mySub = supabase
              .from('messages:room_id=eq.7')
              .on('INSERT', handle)
              .on('*', log)
              .subscribe()
            supabase.from('countries').select('*')
            """
        },
    )
    (channel,) = found.channels
    assert channel.style is Style.V1
    assert [(b.event.text, b.table.text, b.filter.text) for b in channel.bindings] == [
        ("INSERT", "messages", "room_id=eq.7"),
        ("*", "messages", "room_id=eq.7"),
    ]


def test_other_emitters_and_brokers_are_not_channels(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "other.js": """
            socket.on('message', handle)
            const channel = await connection.channel('work')
            Echo.channel('orders').listen('Shipped', handle)
            new BroadcastChannel('tab')
            const c = socket.channel('room:lobby', {}); c.on('shout', f); c.join()
            """
        },
    )
    assert found.channels == []


def test_a_long_chain_takes_no_longer_than_its_length(tmp_path: Path) -> None:
    bindings = "".join(
        f".on('postgres_changes', {{ event: '*', schema: 'public', table: 't{n}' }}, f)"
        for n in range(60)
    )
    channel = one(tmp_path, f"const c = supabase.channel('x'){bindings}.subscribe()\n", "x.js")
    assert [b.table.text for b in channel.bindings] == [f"t{n}" for n in range(60)]


def test_a_first_versions_event_may_be_known_at_run_time_only(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        "export const live = (config, f) =>"
        " client.from(config.table ?? '*').on(config.event ?? '*', f).subscribe()\n",
        "x.js",
    )
    (binding,) = channel.bindings
    assert channel.style is Style.V1
    assert (binding.proven, binding.event.text) == (False, "config.event ?? '*'")


def test_what_is_dynamic_is_shown_as_it_is_written(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        export function live(items, id) {
          const first = items[0]
          const mine = `id=eq.${id}`
          return client.channel('x')
            .on('postgres_changes', { event: '*', table: first, filter: mine }, f).subscribe()
        }
        """,
        "x.js",
    )
    (binding,) = channel.bindings
    assert (binding.table.text, binding.filter.text) == ("first", "`id=eq.${id}`")


def test_the_first_versions_builder_may_be_opened_later(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        export function Orders() {
          useEffect(() => {
            const listener = supabase.from<Row['orders']>('orders').on('INSERT', () => reload())
            if (!supabase.getSubscriptions()) {
              listener.subscribe()
            }
            return () => supabase.removeAllSubscriptions()
          }, [])
        }
        """,
    )
    assert (channel.style, channel.cleanup, channel.bindings[0].table.text) == (
        Style.V1,
        Cleanup.ALL,
        "orders",
    )
