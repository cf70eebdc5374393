"""Where the commands of the toolbox find their database: option, variables, file, in this order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import realtime_hub

# Nothing listens there: what is said names the port, and with it the source of the URL.
OPTION, OURS, COMMON, FILE = (f"postgresql://ana:geheim@127.0.0.1:{port}/x" for port in range(1, 5))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "hub.toml"
    file.write_text(f'database_url = "{FILE}"\npublication = "of_the_file"\nport = 4000\n')
    return file


@pytest.mark.parametrize("command", ["doctor", "slots list"])
@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({"option", "ours", "common", "file"}, 1),
        ({"ours", "common", "file"}, 2),
        ({"common", "file"}, 3),
        ({"file"}, 4),
    ],
)
def test_the_first_place_that_has_the_url_is_asked(
    file: Path, command: str, given: set[str], port: int
) -> None:
    before = ("--config", str(file)) if "file" in given else ()
    after = ("--database-url", OPTION) if "option" in given else ()
    variables = {"ours": ("REALTIME_HUB_DATABASE_URL", OURS), "common": ("DATABASE_URL", COMMON)}
    environment = dict(variables[name] for name in variables if name in given)
    done = realtime_hub(*before, *command.split(), *after, environment=environment)
    assert done.returncode == 3
    assert f"port {port} failed" in done.stderr
    assert "geheim" not in done.stderr


def test_publication_and_slot_come_from_the_same_places(file: Path) -> None:
    shown = realtime_hub("--config", str(file), "uninstall").stdout
    assert "'of_the_file'" in shown
    environment = {"REALTIME_HUB_CONFIG": str(file), "REALTIME_HUB_SLOT": "of_the_variable"}
    shown = realtime_hub("uninstall", environment=environment).stdout
    assert "'of_the_file'" in shown
    assert "'of_the_variable'" in shown


@pytest.mark.parametrize(
    ("text", "said"), [(None, "no configuration file"), ("port 1", "hub.toml")]
)
def test_a_file_that_can_t_be_read_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "hub.toml"
    if text is not None:
        file.write_text(text)
    done = realtime_hub("--config", str(file), "doctor")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
