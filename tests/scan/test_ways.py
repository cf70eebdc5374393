"""Ways out of a function that leave its channel open, and those that do not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from realtime_hub.scan import Cleanup
from tests.scan.parts import one

MADE = (
    "supabase.channel('x').on('postgres_changes',"
    " { event: '*', schema: 'public', table: 't' }, f).subscribe()"
)
DONE = "return () => { supabase.removeChannel(c) }"

OPEN = {
    "a return between": f"const c = MADE; if (muted) return; {DONE}",
    "a return of something else": f"const c = MADE; if (muted) {{ return () => stop() }} {DONE}",
    "a throw between": f"const c = MADE; if (!ok) throw new Error('no'); {DONE}",
    "a clean-up under a condition": f"const c = MADE; if (live) {{ {DONE} }}",
    "one case of a switch": (
        f"const c = MADE; switch (kind) {{ case 'a': return; default: {DONE} }}"
    ),
    "a return behind the call that makes it": (
        f"let c; const start = () => {{ c = MADE }}; start(); if (muted) return; {DONE}"
    ),
    "a return between, and a clean-up of its own name": (
        "const c = MADE; const stop = () => c.unsubscribe(); if (muted) return; return stop"
    ),
    "a handler that goes on": (
        "const go = async () => { const c = MADE; try { await work(); c.unsubscribe() }"
        " catch (e) { log(e) } }; go()"
    ),
    "a return before a registration": (
        "const c = MADE; if (muted) return; addTeardown(() => c.unsubscribe())"
    ),
}

CLOSED = {
    "a return before": f"if (!id) return; const c = MADE; {DONE}",
    "a return where there is no channel": f"const c = MADE; if (!c) return; {DONE}",
    "a return where there is none, or no user": (
        f"const c = user && MADE; if (c == null && !user) return; {DONE}"
    ),
    "a return behind a closing": (
        f"const c = MADE; if (gone) {{ supabase.removeChannel(c); return }} {DONE}"
    ),
    "either clean-up": (
        f"const c = MADE; if (live) {{ return () => c.unsubscribe() }} else {{ {DONE} }}"
    ),
    "one of two clean-ups": (
        "const c = MADE; return live ? () => c.unsubscribe() : () => supabase.removeChannel(c)"
    ),
    "each case of a switch": (
        f"const c = MADE; switch (kind) {{ case 'a': case 'b': {DONE}; default: {DONE} }}"
    ),
    "a return between what makes it and where that is called": (
        f"let c; const start = async () => {{ c = MADE }}; if (!id) return; start(); {DONE}"
    ),
    "a return in a function within": (
        "let c; const start = async () => { const a = await who(); if (!a) return; c = MADE };"
        f" start(); {DONE}"
    ),
    "a clean-up that asks": "const c = MADE; return () => { if (c) supabase.removeChannel(c) }",
    "a handler behind the clean-up": (
        f"try {{ const c = MADE; {DONE} }} catch (e) {{ console.error(e) }}"
    ),
    "a finally": (
        "const go = async () => { const c = MADE; try { await work(); if (done) return }"
        " finally { c.unsubscribe() } }; go()"
    ),
    "a registration before": (
        "let c; addTeardown(() => c?.unsubscribe()); c = MADE; if (muted) return; log(c)"
    ),
    "an expression": f"const c = MADE; c && c.send({{}}); {DONE}",
}


@pytest.mark.parametrize("body", OPEN.values(), ids=OPEN)
def test_a_way_out_leaves_an_effects_channel_open(tmp_path: Path, body: str) -> None:
    assert effects(tmp_path, body) is Cleanup.PARTIAL


@pytest.mark.parametrize("body", CLOSED.values(), ids=CLOSED)
def test_every_way_out_closes_an_effects_channel(tmp_path: Path, body: str) -> None:
    assert effects(tmp_path, body) is Cleanup.YES


def effects(folder: Path, body: str) -> Cleanup:
    text = f"export function Chat() {{ useEffect(() => {{ {body} }}, []); return <p /> }}"
    return one(folder, text.replace("MADE", MADE)).cleanup


OTHERS = {
    "Python, without finally": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            await channel.subscribe()
            try:
                await work()
                await channel.unsubscribe()
            except OSError:
                log.exception("no")
        """,
        Cleanup.PARTIAL,
    ),
    "Python, with a return between": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            await channel.subscribe()
            if quiet:
                return
            await work()
            await client.remove_channel(channel)
        """,
        Cleanup.PARTIAL,
    ),
    "Python, with a handler that raises again": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            await channel.subscribe()
            try:
                await work()
            except OSError:
                raise
            await channel.unsubscribe()
        """,
        Cleanup.PARTIAL,
    ),
    "Python, in a finally": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            await channel.subscribe()
            try:
                if not await work():
                    return
            finally:
                await channel.unsubscribe()
        """,
        Cleanup.YES,
    ),
    "Python, behind a handler": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            try:
                await channel.subscribe()
                await work()
            except OSError:
                log.exception("no")
            await channel.unsubscribe()
        """,
        Cleanup.YES,
    ),
    "Python, in the handler of a loop without an end": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            await channel.subscribe()
            try:
                while True:
                    await asyncio.sleep(1)
            except KeyboardInterrupt:
                await channel.unsubscribe()
        """,
        Cleanup.YES,
    ),
    "Python, in all of several branches": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            if a:
                await channel.unsubscribe()
            elif b:
                await client.remove_channel(channel)
            else:
                await client.remove_all_channels()
        """,
        Cleanup.YES,
    ),
    "Python, in one case of a match": (
        "work.py",
        """
        async def main():
            channel = client.channel("x").on_postgres_changes("*", table="t", callback=f)
            match kind:
                case 1:
                    await channel.unsubscribe()
                case _:
                    log.info("on")
        """,
        Cleanup.PARTIAL,
    ),
    "Dart, with a return between": (
        "work.dart",
        """
        Future<void> main() async {
          final channel = supabase.channel('x').onPostgresChanges(
            event: PostgresChangeEvent.all, schema: 'public', table: 't', callback: f).subscribe();
          if (quiet) return;
          await work();
          await supabase.removeChannel(channel);
        }
        """,
        Cleanup.PARTIAL,
    ),
    "Dart, in a finally": (
        "work.dart",
        """
        Future<void> main() async {
          final channel = supabase.channel('x').onPostgresChanges(
            event: PostgresChangeEvent.all, schema: 'public', table: 't', callback: f).subscribe();
          try {
            if (quiet) return;
            await work();
          } finally {
            await channel.unsubscribe();
          }
        }
        """,
        Cleanup.YES,
    ),
    "Dart, in a handler only": (
        "work.dart",
        """
        Future<void> main() async {
          final channel = supabase.channel('x').onPostgresChanges(
            event: PostgresChangeEvent.all, schema: 'public', table: 't', callback: f).subscribe();
          try {
            await work();
          } on StateError catch (e) {
            await channel.unsubscribe();
          }
        }
        """,
        Cleanup.PARTIAL,
    ),
    "Vue, with a return before what is registered": (
        "useRows.ts",
        """
        export function useRows(table) {
          onMounted(() => {
            const channel = MADE
            if (quiet) return
            onUnmounted(() => supabase.removeChannel(channel))
          })
        }
        """,
        Cleanup.PARTIAL,
    ),
    "Vue, with a return in what is mounted": (
        "Rows.vue",
        """
        <script setup>
        let channel
        onMounted(async () => {
          channel = MADE
          if (quiet) return
          await load()
        })
        onUnmounted(() => supabase.removeChannel(channel))
        </script>
        """,
        Cleanup.YES,
    ),
    "Svelte, with a return between": (
        "Rows.svelte",
        """
        <script>
        onMount(() => {
          const channel = MADE
          if (quiet) return
          return () => supabase.removeChannel(channel)
        })
        </script>
        """,
        Cleanup.PARTIAL,
    ),
    "a function whose callers may get nothing": (
        "listen.ts",
        """
        export function listen() {
          const channel = MADE
          if (quiet) return
          return () => supabase.removeChannel(channel)
        }
        """,
        Cleanup.PARTIAL,
    ),
    "what is kept, and not called on each way out": (
        "live.ts",
        """
        const listen = () => { const channel = MADE; return () => supabase.removeChannel(channel) }
        export const useLive = () => {
          useEffect(() => {
            const stop = listen()
            if (quiet) return
            return () => stop()
          }, [])
        }
        """,
        Cleanup.PARTIAL,
    ),
}


@pytest.mark.parametrize(("name", "text", "cleanup"), OTHERS.values(), ids=OTHERS)
def test_ways_out_count_in_every_language(
    tmp_path: Path, name: str, text: str, cleanup: Cleanup
) -> None:
    assert one(tmp_path, dedent(text).replace("MADE", MADE), name).cleanup is cleanup
