"""Where settings come from, which one wins, and what is said of wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from realtime_hub.errors import SettingsError
from realtime_hub.settings import ENV_PREFIX, Deletes, Settings

URL = "postgresql://hub:geheim@db.example/postgres"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{ENV_PREFIX}{name.upper()}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text(f'database_url = "{URL}"\nslot = "of_file"\nport = 4001\n')
    return path


def refusal(file: Path | None = None, **given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(file, **given)
    return str(caught.value)


def test_only_the_database_url_must_be_given() -> None:
    assert Settings.load(database_url=URL).port == 4000
    assert "database_url: Field required" in refusal()


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_HUB_PORT", "4002")
    monkeypatch.setenv("REALTIME_HUB_HOST", "0.0.0.0")
    settings = Settings.load(file, port=4003)
    assert (settings.port, settings.host, settings.slot) == (4003, "0.0.0.0", "of_file")
    assert Settings.load(file).port == 4002


def test_an_option_that_was_not_given_hides_nothing(file: Path) -> None:
    assert Settings.load(file, port=None, slot=None).port == 4001


def test_one_file_says_nothing_to_the_next_load(file: Path) -> None:
    Settings.load(file)
    assert "database_url" in refusal()


def test_lists_and_tables_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_HUB_ALLOWED_ORIGINS", '["https://app.example"]')
    monkeypatch.setenv("REALTIME_HUB_API_KEYS", '{"sb_secret_x": "service_role"}')
    settings = Settings.load(database_url=URL)
    assert settings.allowed_origins == ["https://app.example"]
    assert settings.api_keys == {"sb_secret_x": "service_role"}


def test_a_choice_is_written_in_lower_case_words() -> None:
    assert Settings.load(database_url=URL, deletes="strict").deletes is Deletes.STRICT
    assert "'compatible' or 'strict'" in refusal(database_url=URL, deletes="Lenient")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536),
        ("port", -1),
        ("slot", "With-Capitals"),
        ("slot", "a" * 64),
        ("slot", ""),
        ("catalog_connections", 0),
        ("authorization_connections", 0),
        ("publication_poll", 0),
        ("heartbeat", -1),
        ("jwt_leeway", 301),
        ("policy_timeout", 0),
        ("max_connections", 0),
        ("max_frame_bytes", 1),
        ("max_queued_bytes", 1),
        ("idle_timeout", 0),
        ("log_level", "loud"),
    ],
)
def test_what_makes_no_sense_is_refused_under_the_names_it_can_be_given_by(
    name: str, value: object
) -> None:
    said = refusal(database_url=URL, **{name: value})
    option = f"--{name.replace('_', '-')}"
    assert said.startswith(f"{name}: ")
    assert said.endswith(f"(set {option} or {ENV_PREFIX}{name.upper()})")


def test_all_problems_are_said_at_once() -> None:
    said = refusal(port="many", slot="Ä")
    assert re.findall(r"(\w+): ", said) == ["database_url", "slot", "port"]


def test_a_problem_never_shows_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_HUB_API_KEYS", "geheim")
    assert "geheim" not in refusal(database_url=URL, port="geheim")


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    settings = Settings.load(
        database_url=URL, jwt_secret="geheim", api_keys={"sb_secret_geheim": "anon"}
    )
    assert "geheim" not in f"{settings!r} {settings}"


def test_an_unknown_name_in_the_file_is_said(file: Path) -> None:
    with file.open("a") as text:
        text.write("prot = 1\n")
    assert "prot: Extra inputs are not permitted" in refusal(file)


def test_a_file_that_is_not_there_or_no_toml_is_said_by_name(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    assert refusal(path) == f"no configuration file at {path}"
    path.write_text("port 4000")
    assert str(path) in refusal(path)


def test_settings_can_not_be_changed_afterwards() -> None:
    settings = Settings.load(database_url=URL)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
