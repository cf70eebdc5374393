"""What pages take from the code: a hook of MkDocs, and `python -m tests.docs.pages`, which writes
anew the pages that are kept with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import typer
from mkdocs.structure.pages import Page as MkDocsPage
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from realtime_hub.cli.main import app
from realtime_hub.gateway.metrics import GatewayMetrics
from realtime_hub.node import metrics
from realtime_hub.postgres.slotwatch import SlotReading

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = "<!-- Made from the code by `python -m tests.docs.pages`. -->"


def families() -> list[Metric]:
    """Every metric of a gateway, but those of its process."""
    registry = CollectorRegistry()
    metrics.HubMetrics(registry, lambda: dict.fromkeys(metrics._HELP, 0.0))
    reading = SlotReading(0.0, True, True, "reserved", 0, 0, 0, 1)
    metrics.SlotMetrics(registry, lambda: reading)
    metrics.TableMetrics(registry, dict, dict)
    GatewayMetrics(registry)
    return sorted(registry.collect(), key=lambda family: family.name)


def name_of(family: Metric) -> str:
    """As a query names it."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def metric_rows() -> str:
    rows = [f"| `{name_of(each)}` | {each.type} | {each.documentation} |" for each in families()]
    return "\n".join(["| metric | type | what it says |", "|---|---|---|", *rows])


def command_pages() -> str:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    return "\n\n".join(_command(name, each) for name, each in sorted(group.commands.items()))


def _command(name: str, command: click.Command) -> str:
    rows = [row for parameter in command.params for row in _parameter(parameter)]
    lines = [f"## realtime-hub {name}", "", _paragraphs(command.help or "")]
    if rows:
        lines += ["", "| option | what it is |", "|---|---|", *rows]
    return "\n".join(lines)


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _parameter(parameter: click.Parameter) -> Iterator[str]:
    text = " ".join((getattr(parameter, "help", None) or "").split())
    if parameter.name != "help":
        names = [*parameter.opts, *parameter.secondary_opts]
        shown = ", ".join(f"`{name}`" for name in names)
        if parameter.param_type_name == "argument":
            shown = f"`{(parameter.name or '').upper()}`"
        yield f"| {shown} | {text.replace('|', chr(92) + '|')} |"


def placed(text: str, made: str) -> str:
    """The page with what was made in place of what stands behind the mark."""
    head, mark, _ = text.partition(MADE)
    assert mark, "the page has no mark"
    return f"{head}{MADE}\n\n{made}\n"


KEPT = {DOCS / "metrics.md": metric_rows}
BUILT = {"cli.md": command_pages}


def on_page_markdown(markdown: str, page: MkDocsPage, **_: object) -> str:
    """Called by MkDocs for each page."""
    make = BUILT.get(page.file.src_uri)
    return markdown if make is None else placed(markdown, make())


if __name__ == "__main__":
    for path, make in KEPT.items():
        path.write_text(placed(path.read_text(), make()))
