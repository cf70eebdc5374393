from __future__ import annotations

import socket
import time
from pathlib import Path

import psycopg
import pytest

from realtime_hub import __version__
from realtime_hub.auth.tokens import TokenVerifier
from tests.cli.command import realtime_hub
from tests.support.tokens import SECRET

NOBODY = "postgresql://somebody:geheim@127.0.0.1:1/nowhere"
COMMANDS = ("serve", "demo", "tail", "doctor", "init", "token", "version")


@pytest.mark.parametrize("how", ["version", "--version"])
def test_the_version_is_printed(how: str) -> None:
    assert realtime_hub(how).stdout.strip() == __version__


def test_help_names_every_command() -> None:
    text = realtime_hub("--help").stdout
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = realtime_hub(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


async def test_a_token_is_one_that_the_gateway_takes() -> None:
    user = "8f14e45f-ceea-4671-8b5c-0d6d2e3a1b11"
    done = realtime_hub(
        *("token", "--role", "authenticated", "--sub", user, "--exp", "60"),
        environment={"REALTIME_HUB_JWT_SECRET": SECRET},
    )
    identity = await TokenVerifier(secret=SECRET).verify(done.stdout.strip(), time.time())
    assert (identity.role, identity.subject) == ("authenticated", user)
    assert identity.expires_at <= time.time() + 60


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("serve",), 2, "error [InvalidSettings]: database_url: Field required"),
        (("serve", "--config", "nowhere.toml"), 2, "no configuration file at nowhere.toml"),
        (("token", "--role", "anon"), 2, "REALTIME_HUB_JWT_SECRET"),
        (("tail", "llamadas"), 2, "REALTIME_HUB_DATABASE_URL"),
        (("tail", "llamadas", "--filter", "x", "--database-url", NOBODY), 4, "[InvalidFilter]"),
        (("tail", "llamadas", "--database-url", NOBODY), 3, "[DatabaseUnreachable]"),
        (("doctor",), 2, "REALTIME_HUB_DATABASE_URL"),
        (("doctor", "--database-url", NOBODY), 3, "[DatabaseUnreachable]"),
        (("doctor", "--format", "xml"), 2, "xml"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_what_goes_wrong_is_said_with_an_exit_code(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = realtime_hub(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stdout + done.stderr


def test_the_environment_gives_settings_and_problems_never_show_values() -> None:
    done = realtime_hub(
        "serve",
        environment={
            "REALTIME_HUB_DATABASE_URL": NOBODY,
            "REALTIME_HUB_PORT": "geheim",
            "REALTIME_HUB_JWT_SECRET": SECRET,
        },
    )
    assert done.returncode == 2
    assert "set --port or REALTIME_HUB_PORT" in done.stderr
    assert "geheim" not in done.stderr
    assert SECRET not in done.stderr


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('database_url = "postgresql://x@127.0.0.1/x"\nprot = 4000\n')
    done = realtime_hub("serve", "--config", str(file))
    assert done.returncode == 2
    assert "prot" in done.stderr


def test_a_file_that_is_no_toml_is_said_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text("port 4000")
    done = realtime_hub("serve", "--config", str(file))
    assert done.returncode == 2
    assert "hub.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("create publication supabase_realtime")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = realtime_hub(
            *("serve", "--database-url", database, "--jwt-secret", SECRET, "--port", port),
            *("--log", "memory"),
        )
    assert done.returncode == 4
    assert "the port is taken by another program" in done.stderr
    assert "Traceback" not in done.stderr
