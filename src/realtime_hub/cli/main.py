"""The command line. Exit codes: 0 done, 1 findings, 2 wrong usage or settings, 3 the database
can't be reached or served, 4 anything else that went wrong."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_hub import __version__
from realtime_hub.cli.configured import defaults
from realtime_hub.cli.lazy import LazyGroup
from realtime_hub.cli.running import run
from realtime_hub.errors import RealtimeHubError, SettingsError, SourceError

if TYPE_CHECKING:
    from realtime_hub.settings import Settings

app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Realtime changes from PostgreSQL for unmodified Supabase clients.",
)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL URL of a role with REPLICATION; a direct connection, not a pooler.",
        envvar=["REALTIME_HUB_DATABASE_URL", "DATABASE_URL"],
        show_envvar=True,
    ),
]
Publication = Annotated[
    str | None, typer.Option(help="Publication whose tables are served.", show_default=False)
]
Config = Annotated[
    Path | None, typer.Option(help="TOML file with settings; see docs/configuration.md.")
]


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)  # noqa: T201
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="REALTIME_HUB_CONFIG", help="TOML file with settings; see docs/configuration.md."
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=_say_version,
        ),
    ] = False,
) -> None:
    """Give every command what the file says of its options."""
    if config is not None:
        context.default_map = defaults(context.command, config)


@app.command()
def serve(
    database_url: DatabaseUrl = None,
    jwt_secret: Annotated[
        str | None,
        typer.Option(
            help="Secret of HS256 tokens; better given as REALTIME_HUB_JWT_SECRET.",
            show_default=False,
        ),
    ] = None,
    publication: Publication = None,
    slot: Annotated[
        str | None, typer.Option(help="Replication slot, made if it does not exist.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="File that keeps changes for clients that come back; `memory`: none.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    proxy_to: Annotated[
        str | None,
        typer.Option(
            help="Supabase project that all but /realtime/v1 is passed on to.", show_default=False
        ),
    ] = None,
    console_token: Annotated[
        str | None,
        typer.Option(
            help="Opens /console; better given as REALTIME_HUB_CONSOLE_TOKEN.", show_default=False
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Serve the Realtime protocol to Supabase clients.

    Settings come from options, REALTIME_HUB_* variables, the file, and defaults, in this order.

    Example: `realtime-hub serve --database-url postgresql://... --jwt-secret ...`
    """
    from realtime_hub.cli.logs import configure_logs
    from realtime_hub.settings import Settings

    settings = Settings.load(
        config,
        database_url=database_url,
        jwt_secret=jwt_secret,
        publication=publication,
        slot=slot,
        log=log,
        host=host,
        port=port,
        console_token=console_token,
        proxy_to=proxy_to,
    )
    configure_logs(settings.log_level, settings.log_format)
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    """Say what the doctor finds, then serve."""
    import structlog

    from realtime_hub.compose import serve as run_service
    from realtime_hub.ops.doctor import problems

    log = structlog.get_logger(__name__)
    dsn = settings.database_url.get_secret_value()
    for check in await problems(dsn, settings.publication, settings.slot):
        log.warning("doctor", check=check.name, problem=check.text, remedy=check.remedy)
    await run_service(settings)


@app.command()
def token(
    role: Annotated[str, typer.Option(help="PostgreSQL role, such as anon or authenticated.")],
    sub: Annotated[str | None, typer.Option(help="The user's id, a UUID on Supabase.")] = None,
    exp: Annotated[int, typer.Option(help="Seconds until it expires.", min=1)] = 3600,
    jwt_secret: Annotated[
        str | None, typer.Option(envvar="REALTIME_HUB_JWT_SECRET", show_default=False)
    ] = None,
) -> None:
    """Print a token signed with the JWT secret, for trying things out.

    Example: `realtime-hub token --role authenticated --sub 5d2b...`
    """
    from realtime_hub.auth.tokens import mint

    if jwt_secret is None:
        raise SettingsError("jwt_secret is missing (set --jwt-secret or REALTIME_HUB_JWT_SECRET)")
    print(mint(jwt_secret, role=role, subject=sub, expires_in=exp))  # noqa: T201


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)  # noqa: T201


def main() -> None:
    """Entry of the command line; turns expected errors into a line and an exit code."""
    try:
        app()
    except RealtimeHubError as error:
        print(f"error [{error.code}]: {error}", file=sys.stderr)  # noqa: T201
        if isinstance(error, SettingsError):
            sys.exit(2)
        sys.exit(3 if isinstance(error, SourceError) else 4)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        text = "the port is taken by another program; choose one with --port" if taken else error
        print(f"error [SystemError]: {text}", file=sys.stderr)  # noqa: T201
        sys.exit(4)


__all__ = ["app", "main"]
