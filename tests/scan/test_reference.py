"""The components of the reference case, a call centre, by the tables that each listens to."""

from __future__ import annotations

from pathlib import Path

from realtime_hub.cli.inventory import markdown_text
from tests.scan.parts import scanned

COMPONENTS = {
    "LiveActivity": [("llamadas_ventas", "*", "")],
    "LiveMonitor": [("llamadas_ventas", "INSERT", ""), ("llamadas_ventas", "UPDATE", "")],
    "ActiveCalls": [("llamadas_ventas", "INSERT", ""), ("llamadas_ventas", "UPDATE", "")],
    "CallDetail": [("llamadas_ventas", "UPDATE", "`call_id=eq.${id}`")],
    "NewProspects": [
        ("prospectos", "INSERT", ""),
        ("prospectos", "UPDATE", ""),
        ("mensajes_whatsapp", "INSERT", ""),
    ],
    "Prospects": [("prospectos", "UPDATE", "")],
    "Conversations": [("prospectos", "UPDATE", ""), ("mensajes_whatsapp", "INSERT", "")],
    "LiveChat": [
        ("mensajes_whatsapp", "INSERT", ""),
        ("prospectos", "UPDATE", ""),
        ("llamadas_programadas", "UPDATE", ""),
    ],
}


def component(name: str) -> str:
    bindings = []
    for table, event, narrowed in COMPONENTS[name]:
        options = f"event: '{event}', schema: 'public', table: '{table}'"
        options += f", filter: {narrowed}" if narrowed else ""
        bindings.append(f"      .on('postgres_changes', {{ {options} }}, show)")
    return "\n".join(
        [
            f"export function {name}({{ id }}) {{",
            "  useEffect(() => {",
            f"    const channel = supabase.channel('{name}-' + Date.now())",
            *bindings,
            "      .subscribe()",
            "    return () => supabase.removeChannel(channel)",
            "  }, [id])",
            "  return <p />",
            "}",
        ]
    )


def rows(text: str, title: str) -> list[list[str]]:
    lines = text.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


def test_each_component_is_a_row_with_its_tables_events_filter_and_clean_up(
    tmp_path: Path,
) -> None:
    files = {f"src/{name}.tsx": component(name) for name in COMPONENTS}
    found = rows(markdown_text(scanned(tmp_path, files)), "Components")
    expected = [
        [
            f"{name} (src/{name}.tsx:3)",
            "; ".join(table for table, _, _ in bindings),
            "; ".join(event for _, event, _ in bindings),
            "; ".join(narrowed for *_, narrowed in bindings if narrowed),
            f"yes (removeChannel, line {5 + len(bindings)})",
            "name made anew",
        ]
        for name, bindings in sorted(COMPONENTS.items())
    ]
    assert found == expected


def test_each_table_is_a_row_with_its_components(tmp_path: Path) -> None:
    files = {f"src/{name}.tsx": component(name) for name in COMPONENTS}
    found = {row[0]: row[2] for row in rows(markdown_text(scanned(tmp_path, files)), "Tables")}
    listeners: dict[str, set[str]] = {}
    for name, bindings in COMPONENTS.items():
        for table, _, _ in bindings:
            listeners.setdefault(table, set()).add(name)
    assert found == {table: ", ".join(sorted(names)) for table, names in listeners.items()}


def test_a_component_that_listens_through_a_hook_is_a_row_too(tmp_path: Path) -> None:
    files = {
        "src/useRows.ts": """
            export function useRows(table, show) {
              useEffect(() => {
                const channel = supabase.channel(`rows-${table}`)
                  .on('postgres_changes', { event: 'INSERT', schema: 'public', table }, show)
                  .subscribe()
                return () => supabase.removeChannel(channel)
              }, [table])
            }
            """,
        "src/Calls.tsx": """
            import { useRows } from './useRows'
            export function Calls() {
              useRows('llamadas_ventas', show)
              return <p />
            }
            """,
    }
    found = rows(markdown_text(scanned(tmp_path, files)), "Components")
    assert [row[:3] + row[5:] for row in found] == [
        ["Calls (src/Calls.tsx:3)", "llamadas_ventas", "INSERT", "through src/useRows.ts:4"],
        ["useRows (src/useRows.ts:3)", "table", "INSERT", "dynamic"],
    ]
