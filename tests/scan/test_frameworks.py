"""Channels as frameworks have them: who owns each, and who closes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.scan import Cleanup
from tests.scan.parts import scanned

LISTEN = (
    "supabase.channel('x').on('postgres_changes',"
    " { event: '*', schema: 'public', table: 't' }, f).subscribe()"
)

CASES = {
    "Vue with options": (
        "Chat.vue",
        """
        <template><p>{{ rows }}</p></template>
        <script>
        export default {
          created() { this.listen() },
          beforeUnmount() { supabase.removeChannel(this.channel) },
          methods: { listen() { this.channel = LISTEN } },
        }
        </script>
        """,
        "Chat",
        Cleanup.YES,
    ),
    "Svelte with runes": (
        "Chat.svelte",
        "<script>\n$effect(() => { const c = LISTEN; return () => c.unsubscribe() })\n</script>",
        "Chat",
        Cleanup.YES,
    ),
    "an Angular observable": (
        "live.service.ts",
        """
        @Injectable()
        export class LiveService {
          rows() {
            return new Observable((observer) => {
              const channel = LISTEN
              return () => { supabase.removeChannel(channel) }
            })
          }
        }
        """,
        "LiveService",
        Cleanup.YES,
    ),
    "a Pinia store": (
        "stores/live.ts",
        """
        export const useLive = defineStore('live', () => {
          let channel
          function start() { channel = LISTEN }
          function stop() { supabase.removeChannel(channel) }
          return { start, stop }
        })
        """,
        "useLive",
        Cleanup.MANUAL,
    ),
    "a Zustand store": (
        "store.ts",
        """
        export const useStore = create((set, get) => ({
          channel: null,
          start: () => { const channel = LISTEN; set({ channel }) },
          stop: () => { const { channel } = get(); supabase.removeChannel(channel) },
        }))
        """,
        "useStore",
        Cleanup.MANUAL,
    ),
    "an RTK endpoint": (
        "api.ts",
        """
        export const api = createApi({
          endpoints: (build) => ({
            rows: build.query({
              async onCacheEntryAdded(arg, { cacheEntryRemoved }) {
                const channel = LISTEN
                await cacheEntryRemoved
                supabase.removeChannel(channel)
              },
            }),
          }),
        })
        """,
        "api",
        Cleanup.YES,
    ),
    "React state": (
        "Chat.tsx",
        """
        export const Chat = memo(() => {
          const [channel, setChannel] = useState(null)
          useEffect(() => {
            setChannel(LISTEN)
          }, [])
          useEffect(() => () => { if (channel) supabase.removeChannel(channel) }, [channel])
          return <p />
        })
        """,
        "Chat",
        Cleanup.YES,
    ),
    "React Native's focus": (
        "Screen.tsx",
        """
        export default function Screen() {
          useFocusEffect(useCallback(() => {
            const channel = LISTEN
            return () => { channel.unsubscribe() }
          }, []))
          return <View />
        }
        """,
        "Screen",
        Cleanup.YES,
    ),
    "a page's script": (
        "index.html",
        """
        <html><body><script type="module">
        const channel = LISTEN
        window.addEventListener('beforeunload', () => supabase.removeChannel(channel))
        </script></body></html>
        """,
        "",
        Cleanup.YES,
    ),
}


@pytest.mark.parametrize(("name", "text", "owner", "cleanup"), CASES.values(), ids=CASES)
def test_a_frameworks_channel_has_its_owner_and_its_clean_up(
    tmp_path: Path, name: str, text: str, owner: str, cleanup: Cleanup
) -> None:
    (channel,) = scanned(tmp_path, {name: text.replace("LISTEN", LISTEN)}).channels
    assert (channel.owner, channel.cleanup) == (owner, cleanup)
    assert channel.reachable


def test_a_nuxt_store_is_known_without_an_import(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "stores/live.ts": CASES["a Pinia store"][1].replace("LISTEN", LISTEN),
            "pages/Live.vue": """
            <script setup>
            const live = useLive()
            onMounted(() => live.start())
            onUnmounted(() => live.stop())
            </script>
            """,
        },
    )
    assert [channel.cleanup for channel in found.channels] == [Cleanup.CALLER]


def test_a_script_with_types_under_a_plain_name_is_read(tmp_path: Path) -> None:
    found = scanned(
        tmp_path, {"a.js": f"// @flow\nfunction live(id: number): void {{ {LISTEN} }}\nlive(1)\n"}
    )
    assert found.unparsed == []
    assert [channel.owner for channel in found.channels] == ["live"]


MARKUP = {
    "Svelte's property": ("A.svelte", "export let t = 'a'", "t", ""),
    "Svelte's binding": ("A.svelte", "let t = 'a'", "t", "<input bind:value={t}>"),
    "Svelte's handler": ("A.svelte", "let t = 'a'", "t", "<a on:click={() => (t = 'b')}>b</a>"),
    "Vue's model": ("A.vue", "const t = ref('a')", "t.value", '<input v-model="t">'),
    "Vue's handler": ("A.vue", "const t = ref('a')", "t.value", """<a @click="t = 'b'">b</a>"""),
}


@pytest.mark.parametrize(("name", "made", "table", "markup"), MARKUP.values(), ids=MARKUP)
def test_a_variable_that_markup_may_change_is_dynamic(
    tmp_path: Path, name: str, made: str, table: str, markup: str
) -> None:
    listen = (
        f"supabase.channel('x').on('postgres_changes', {{ event: '*', table: {table} }}, f)"
        ".subscribe()"
    )
    text = f"<script setup>\n{made}\nconst fixed = 'c'\n{listen}\n"
    text += f"{listen.replace(table + ' }', 'fixed }')}\n</script>\n{markup}\n<p>{{{{ t }}}}</p>\n"
    found = scanned(tmp_path, {name: text})
    assert [each.table for each in found.subscriptions] == ["c"]
    assert [each.table for each in found.unresolved] == [table]
