"""The command `top`: the console's figures in a terminal."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Annotated, Any, Final

import aiohttp
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from realtime_hub.cli.running import run
from realtime_hub.console.figures import Figures
from realtime_hub.errors import SettingsError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MOST_TABLES: Final = 12
_MOST_USERS: Final = 8
_LATENCY: Final = "realtime_hub_gateway_commit_to_send_seconds"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_CODES: Final = (
    ("joins", "realtime_hub_gateway_joins_total", "ok"),
    ("bindings", "realtime_hub_gateway_bindings_refused_total", ""),
    ("limits", "realtime_hub_gateway_limits_reached_total", ""),
    ("handshakes", "realtime_hub_gateway_handshakes_total", "101"),
)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("top")(top)


def top(
    url: Annotated[str, typer.Argument(help="The gateway's address.")] = "http://127.0.0.1:4000",
    token: Annotated[
        str | None,
        typer.Option(
            envvar=["REALTIME_HUB_CONSOLE_TOKEN", "REALTIME_HUB_GATEWAY_TOKEN"],
            help="The console token, or a JWT of the role service_role.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, print, and end.")] = False,
) -> None:
    """Watch a gateway: changes by table, latency, listeners, slot, errors. Ctrl-C ends it.

    Rates are of the time between two looks, percentiles since the start of the gateway with
    `--once` and of the last minute without. Exits with 3 if the gateway can't be reached.

    Example: `realtime-hub top http://gateway.internal:4000 --token ...`
    """
    if token is None:
        raise SettingsError("no token (set --token or REALTIME_HUB_GATEWAY_TOKEN)")
    try:
        run(_watch(url.rstrip("/"), token, interval, once=once))
    except (aiohttp.ClientError, TimeoutError) as error:
        if isinstance(error, aiohttp.ClientResponseError) and error.status in (401, 403):
            raise SettingsError("the gateway does not accept the token") from None
        print(f"error: {url} does not answer: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(3) from None


async def _watch(url: str, token: str, interval: float, *, once: bool) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    figures, console = Figures(), Console()
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
        census = await _look(session, url, figures)
        if once:
            console.print(_screen(url, figures, census, ""))
            return
        with Live(_screen(url, figures, census, ""), console=console, screen=True) as live:
            while True:
                await asyncio.sleep(interval)
                trouble = ""
                try:
                    census = await _look(session, url, figures)
                except (aiohttp.ClientConnectionError, TimeoutError):
                    trouble = "the gateway does not answer; these are the last figures"
                live.update(_screen(url, figures, census, trouble), refresh=True)


async def _look(session: aiohttp.ClientSession, url: str, figures: Figures) -> dict[str, Any]:
    async with session.get(f"{url}/console/api/figures", raise_for_status=True) as answer:
        figures.add(await answer.json())
    async with session.get(f"{url}/console/api/channels", raise_for_status=True) as answer:
        census: dict[str, Any] = await answer.json()
        return census


def _screen(url: str, figures: Figures, census: dict[str, Any], trouble: str) -> RenderableType:
    streaming = figures.value("realtime_hub_streaming") == 1
    head = Text.assemble(
        ("realtime-hub ", "bold"),
        f"{figures.version}  {url}  ",
        ("streaming" if streaming else "not streaming", "green" if streaming else "bold red"),
        f"  up {_duration(figures.at - figures.value('realtime_hub_started'))}"
        f"  {time.strftime('%H:%M:%S')}",
    )
    parts: list[RenderableType] = [head]
    warnings = [trouble] if trouble else []
    states = figures.labels("realtime_hub_slot_warning")
    warnings += [f"slot: {name}" for name, holds in states.items() if holds]
    parts += [Text(f"! {text}", "yellow") for text in warnings]
    parts += [Text(), _summary(figures), Text(), _tables(figures), Text(), _users(census)]
    errors = _errors(figures)
    return Group(*parts, Text(), errors)


def _summary(figures: Figures) -> Table:
    value, rate = figures.value, figures.rate
    cells = [
        ("changes", f"{rate('realtime_hub_changes_total'):,.1f}/s"),
        ("deliveries", f"{rate('realtime_hub_deliveries_total'):,.1f}/s"),
        ("median", _milliseconds(figures.quantile(_LATENCY, 0.5))),
        ("p95", _milliseconds(figures.quantile(_LATENCY, 0.95))),
        ("p99", _milliseconds(figures.quantile(_LATENCY, 0.99))),
        ("connections", f"{value('realtime_hub_gateway_connections'):,.0f}"),
        ("channels", f"{value('realtime_hub_gateway_channels'):,.0f}"),
        ("queued", _bytes(value("realtime_hub_gateway_queued_bytes"))),
        ("slow closes", f"{value('realtime_hub_gateway_slow_closes_total'):,.0f}"),
        ("slot lag", _bytes(value("realtime_hub_slot_lag_bytes"))),
        ("WAL kept", _bytes(value("realtime_hub_slot_retained_wal_bytes"))),
        ("log age", _age(figures)),
        ("compiled", f"{rate('realtime_hub_policies_compiled_total'):,.1f}/s"),
        ("asked", f"{rate('realtime_hub_policies_asked_total'):,.1f}/s"),
        ("withheld", f"{rate('realtime_hub_withheld_total'):,.1f}/s"),
    ]
    table = Table.grid(padding=(0, 3))
    for start in range(0, len(cells), 5):
        row = cells[start : start + 5]
        table.add_row(*(Text.assemble((f"{name} ", "dim"), (text, "bold")) for name, text in row))
    return table


def _tables(figures: Figures) -> Table:
    table = _plain("table", "changes/s", "changes", "listeners")
    changes = figures.labels("realtime_hub_table_changes_total")
    listeners = figures.labels("realtime_hub_table_listeners")
    rates = {
        name: figures.rate("realtime_hub_table_changes_total", name) for name in changes | listeners
    }
    busiest = sorted(rates, key=lambda name: (-rates[name], -changes.get(name, 0), name))
    for name in busiest[:_MOST_TABLES]:
        table.add_row(
            Text(name),
            f"{rates[name]:,.1f}",
            f"{changes.get(name, 0):,.0f}",
            f"{listeners.get(name, 0):,.0f}",
        )
    return table


def _users(census: dict[str, Any]) -> Table:
    table = _plain("user", "channels", "duplicates", "queued")
    for user in census["users"][:_MOST_USERS]:
        name = Text(f"{user['role']} {user['subject']}".strip())
        duplicates = Text(str(user["duplicates"]), "yellow" if user["duplicates"] else "")
        table.add_row(name, str(user["channels"]), duplicates, _bytes(user["queued_bytes"]))
    return table


def _errors(figures: Figures) -> Text:
    counted = [
        f"{kind} {code}: {number:,.0f}"
        for kind, metric, fine in _CODES
        for code, number in sorted(figures.labels(metric).items())
        if code != fine and number
    ]
    return Text("no errors" if not counted else "   ".join(counted), "yellow" if counted else "dim")


def _plain(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    return table


def _age(figures: Figures) -> str:
    oldest = figures.value("realtime_hub_log_oldest")
    return _duration(figures.at - oldest) if oldest else "–"


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _bytes(value: float) -> str:
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} {_UNITS[-1]}"
