"""How channels are closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.scan import Cleanup
from tests.scan.parts import one

MADE = (
    "supabase.channel('x').on('postgres_changes',"
    " { event: '*', schema: 'public', table: 't' }, f).subscribe()"
)

IN_EFFECTS = {
    "removed in the effect's clean-up": (
        "const c = MADE; return () => { supabase.removeChannel(c) }",
        Cleanup.YES,
    ),
    "unsubscribed by an arrow's value": (
        "const c = MADE; return () => c.unsubscribe()",
        Cleanup.YES,
    ),
    "by a named function that is returned": (
        "const c = MADE; const stop = () => { if (c) supabase.removeChannel(c) }; return stop",
        Cleanup.YES,
    ),
    "through a ref": (
        "ref.current = MADE; return () => { ref.current?.unsubscribe() }",
        Cleanup.YES,
    ),
    "with all others": ("MADE; return () => { supabase.removeAllChannels() }", Cleanup.ALL),
    "never": ("const c = MADE", Cleanup.NONE),
    "another one": (
        "const c = MADE; const d = other(); return () => { supabase.removeChannel(d) }",
        Cleanup.NONE,
    ),
    "in a clean-up that an inner function returns to nobody": (
        "const go = async () => { const c = MADE; return () => c.unsubscribe() }; go()",
        Cleanup.LEAK,
    ),
    "in a clean-up that a function called at once returns to nobody": (
        "(async () => { const c = MADE; return () => c.unsubscribe() })()",
        Cleanup.LEAK,
    ),
    "when its status says so": (
        "const c = MADE; c.subscribe((s) => { if (s === 'CLOSED') c.unsubscribe() })",
        Cleanup.PARTIAL,
    ),
    "of several, each": (
        "const all = ['a'].map((t) => MADE);"
        " return () => { all.forEach((c) => supabase.removeChannel(c)) }",
        Cleanup.YES,
    ),
    "of several in a list, each": (
        "const all = []; all.push(MADE);"
        " return () => { for (const c of all) { supabase.removeChannel(c) } }",
        Cleanup.YES,
    ),
}


@pytest.mark.parametrize(("body", "cleanup"), IN_EFFECTS.values(), ids=IN_EFFECTS)
def test_an_effects_channel_is_closed(tmp_path: Path, body: str, cleanup: Cleanup) -> None:
    text = f"export function Chat() {{ useEffect(() => {{ {body} }}, []); return <p /> }}"
    assert one(tmp_path, text.replace("MADE", MADE)).cleanup is cleanup


ELSEWHERE = {
    "by an effect that keeps what a function returns": (
        "x.ts",
        "const listen = () => { const c = MADE; return () => supabase.removeChannel(c) }\n"
        "export const useIt = () => { useEffect(() => listen(), []) }",
        Cleanup.CALLER,
    ),
    "by nobody that is known": (
        "x.ts",
        "export const listen = () => { const c = MADE; return () => supabase.removeChannel(c) }",
        Cleanup.RETURNED,
    ),
    "by nobody that is known, through a method": (
        "x.ts",
        "export class Live { watch(id) { if (this.all.has(id)) { this.forget(id) }\n"
        "    const c = MADE; this.all.set(id, c); return () => this.forget(id) }\n"
        "  forget(id) { const c = this.all.get(id); if (c) { supabase.removeChannel(c) } } }",
        Cleanup.RETURNED,
    ),
    "in an object that is kept and returned": (
        "x.ts",
        "export class Live { watch() { const c = MADE\n"
        "    const handle = { c, stop: () => supabase.removeChannel(c) }\n"
        "    this.all.set(id, handle); return handle } }",
        Cleanup.RETURNED,
    ),
    "by who keeps what a callback returns": (
        "x.tsx",
        "export function useLive() {\n"
        "  const open = useCallback(() => { const c = MADE; return () => c.unsubscribe() }, [])\n"
        "  useEffect(() => { const stop = open(); return () => { if (stop) stop() } }, [open]) }",
        Cleanup.CALLER,
    ),
    "by what a promise returns to nobody": (
        "x.tsx",
        "export function Live() { useEffect(() => { const c = MADE\n"
        "  load().then(() => { return () => { supabase.removeChannel(c) } }) }, [])"
        " return <p /> }",
        Cleanup.LEAK,
    ),
    "by a function of a module that is made at once": (
        "x.js",
        "window.live = (function () { let c\n"
        "  function open() { c = MADE }\n"
        "  function close() { supabase.removeChannel(c) }\n"
        "  return { open, close } })()",
        Cleanup.MANUAL,
    ),
    "as one of a list that is joined from others": (
        "x.jsx",
        "export function App() { useEffect(() => { const many = [MADE]\n"
        "  return () => { [...many, other].forEach((c) => supabase.removeChannel(c)) } }, [])"
        " return <p /> }",
        Cleanup.YES,
    ),
    "by nothing, though it is given back": (
        "x.ts",
        "function attach() { const sub = () => MADE; sub() }\nattach()",
        Cleanup.NONE,
    ),
    "by who was given an entry of a registry": (
        "x.ts",
        "const registry = new Map()\n"
        "function make(id) { const c = MADE; return c }\n"
        "export function listen(id) { let entry = registry.get(id)\n"
        "  if (!entry) { entry = { c: make(id), count: 0 }; registry.set(id, entry) }\n"
        "  return () => { const current = registry.get(id); if (!current) return\n"
        "    if (current.count <= 0) { supabase.removeChannel(current.c) } } }",
        Cleanup.RETURNED,
    ),
    "as one of a copied list": (
        "x.ts",
        "export class Live { start() { this.all.push(MADE) }\n"
        "  stop() { const all = Array.from(this.all)\n"
        "    for (const c of all) supabase.removeChannel(c) } }",
        Cleanup.MANUAL,
    ),
    "by callers who let it go": (
        "x.ts",
        "const listen = () => { const c = MADE; return () => supabase.removeChannel(c) }\n"
        "export const useIt = () => { useEffect(() => { listen() }, []) }",
        Cleanup.LEAK,
    ),
    "given away as it is": (
        "x.ts",
        "export const listen = () => { return MADE }",
        Cleanup.RETURNED,
    ),
    "by a method that nothing calls on its own": (
        "x.ts",
        "export class Live { start() { this.c = MADE } stop() { this.c.unsubscribe() } }",
        Cleanup.MANUAL,
    ),
    "by Angular": (
        "x.ts",
        "export class Live { ngOnInit() { this.c = MADE }"
        " ngOnDestroy() { supabase.removeChannel(this.c) } }",
        Cleanup.YES,
    ),
    "by Vue": (
        "Chat.vue",
        "<script setup lang='ts'>\nlet c\nonMounted(() => { c = MADE })\n"
        "onUnmounted(() => { supabase.removeChannel(c) })\n</script>",
        Cleanup.YES,
    ),
    "by Vue, through a function's name": (
        "Chat.vue",
        "<script setup>\nconst c = MADE\nconst stop = () => c.unsubscribe()\n"
        "onUnmounted(stop)\n</script>",
        Cleanup.YES,
    ),
    "by Svelte": (
        "Chat.svelte",
        "<script>\nonMount(() => { const c = MADE; return () => c.unsubscribe() })\n</script>",
        Cleanup.YES,
    ),
    "when a request ends": (
        "route.ts",
        "export async function GET(request) { const c = MADE;"
        " request.signal.addEventListener('abort', () => { supabase.removeChannel(c) }) }",
        Cleanup.YES,
    ),
    "in a finally": (
        "x.ts",
        "export async function run() { const c = MADE; try { await work() }"
        " finally { await supabase.removeChannel(c) } }",
        Cleanup.YES,
    ),
}


@pytest.mark.parametrize(("name", "text", "cleanup"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_channel_is_closed(tmp_path: Path, name: str, text: str, cleanup: Cleanup) -> None:
    assert one(tmp_path, text.replace("MADE", MADE), name).cleanup is cleanup


CLIENTS = {
    "by closing the client": (
        "work.py",
        "async def main():\n"
        "    client = AsyncRealtimeClient(url)\n"
        "    try:\n"
        "        channel = client.channel('x').on_postgres_changes('*', table='t', callback=f)\n"
        "        await channel.subscribe()\n"
        "        await stop.wait()\n"
        "    finally:\n"
        "        await client.close()\n",
        Cleanup.ALL,
    ),
    "by its Realtime part": (
        "x.ts",
        "export async function run() { try { MADE; await work() }"
        " finally { await supabase.realtime.disconnect() } }",
        Cleanup.ALL,
    ),
    "with each of the client's channels": (
        "x.ts",
        "export async function run() { try { MADE; await work() } finally {"
        " for (const c of supabase.getChannels()) { await supabase.removeChannel(c) } } }",
        Cleanup.ALL,
    ),
    "as the one of the client's that has its name": (
        "x.ts",
        "export async function run() { try { MADE; await work() } finally {"
        " supabase.getChannels().forEach((c) => {"
        " if (c.topic === 'realtime:x') supabase.removeChannel(c) }) } }",
        Cleanup.YES,
    ),
    "not as another of the client's": (
        "x.ts",
        "export async function run() { try { MADE; await work() } finally {"
        " supabase.getChannels().forEach((c) => {"
        " if (c.topic === 'realtime:y') supabase.removeChannel(c) }) } }",
        Cleanup.NONE,
    ),
    "not by closing another client": (
        "x.ts",
        "export async function run() { try { MADE; await work() }"
        " finally { await redis.disconnect() } }",
        Cleanup.NONE,
    ),
}


@pytest.mark.parametrize(("name", "text", "cleanup"), CLIENTS.values(), ids=CLIENTS)
def test_a_channel_ends_with_its_client(
    tmp_path: Path, name: str, text: str, cleanup: Cleanup
) -> None:
    assert one(tmp_path, text.replace("MADE", MADE), name).cleanup is cleanup


def test_the_calls_that_close_a_channel_are_named(tmp_path: Path) -> None:
    text = (
        "export function Chat() { useEffect(() => {\n"
        f"  const c = {MADE}\n"
        "  addEventListener('pagehide', () => c.unsubscribe())\n"
        "  return () => { supabase.removeChannel(c) }\n"
        "}, []); return <p /> }\n"
        "export const logout = () => supabase.removeAllChannels()\n"
    )
    said = one(tmp_path, text).as_json()["closed_by"]
    assert [(each["call"], each["line"]) for each in said] == [
        ("unsubscribe", 3),
        ("removeChannel", 4),
        ("removeAllChannels", 6),
    ]
