"""Hubs: this project's own clients, and those that a project has written for itself."""

from __future__ import annotations

from pathlib import Path

from tests.scan.parts import scanned

OWN = """
class Hub {
  private channels = new Map()
  private listeners = new Map()
  subscribe(table, event, callback) {
    if (!this.channels.has(table)) this.channels.set(table, this.open(table))
    this.listeners.get(table).add(callback)
    return () => {
      const left = this.listeners.get(table)
      left.delete(callback)
      if (left.size === 0) this.close(table)
    }
  }
  open(table) {
    return supabase.channel(`hub:${table}`)
      .on('postgres_changes', { event: '*', schema: 'public', table }, fire).subscribe()
  }
  close(table) { supabase.removeChannel(this.channels.get(table)) }
}
export const hub = new Hub()
"""


def test_a_projects_own_hub_is_shared_and_its_callers_are_the_subscriptions(
    tmp_path: Path,
) -> None:
    use = "import { hub } from './hub'\nexport const A = () => { hub.subscribe('%s', '*', f) }\n"
    found = scanned(tmp_path, {"hub.ts": OWN, "a.tsx": use % "a", "b.tsx": use % "b"})
    (channel,) = found.channels
    assert channel.shared
    assert [(s.table, s.place.file, s.shared) for s in found.subscriptions] == [
        ("a", "a.tsx", True),
        ("b", "b.tsx", True),
    ]
    assert found.findings == []


def test_a_wrapper_that_opens_a_channel_for_each_caller_is_not_shared(tmp_path: Path) -> None:
    text = """
    export const listen = (table, callback) => {
      const channel = supabase.channel(table)
        .on('postgres_changes', { event: '*', schema: 'public', table }, callback).subscribe()
      return () => supabase.removeChannel(channel)
    }
    """
    (channel,) = scanned(tmp_path, {"x.ts": text}).channels
    assert not channel.shared


def test_subscriptions_of_the_javascript_client_are_found_without_a_channel(
    tmp_path: Path,
) -> None:
    found = scanned(
        tmp_path,
        {
            "lib/hub.ts": """
            import { createHub } from 'realtime-hub'
            export const hub = createHub(supabase)
            """,
            "A.tsx": """
            import { hub } from './lib/hub'
            import { useRealtime } from 'realtime-hub/react'
            export function A() {
              useEffect(() => hub.subscribe('orders', ['INSERT', 'UPDATE'], f, OPTIONS), [])
              useRealtime('items', '*', f)
              return <p />
            }
            const OPTIONS = { schema: 'shop', filter: 'id=eq.1' }
            """,
        },
    )
    assert found.channels == []
    assert [
        (s.schema, s.table, s.event, s.filter.text, s.place.line) for s in found.subscriptions
    ] == [
        ("shop", "orders", "INSERT", "id=eq.1", 4),
        ("shop", "orders", "UPDATE", "id=eq.1", 4),
        ("public", "items", "*", None, 5),
    ]
    assert all(each.shared for each in found.subscriptions)


def test_subscriptions_of_the_python_library_are_found(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "worker.py": """
            from realtime_hub import RealtimeHub

            async def main():
                async with RealtimeHub(DSN) as hub:
                    await hub.subscribe("orders", "INSERT", print, filter="id=eq.1")
                    async for change in hub.stream("items", ["UPDATE", "DELETE"]):
                        print(change)
            """
        },
    )
    assert [(s.table, s.event, s.filter.text) for s in found.subscriptions] == [
        ("orders", "INSERT", "id=eq.1"),
        ("items", "DELETE", None),
        ("items", "UPDATE", None),
    ]
