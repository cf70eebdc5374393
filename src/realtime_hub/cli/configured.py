"""What a settings file says to commands that have no `--config` of their own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from realtime_hub.errors import SettingsError

_SHARED: Final = ("database_url", "publication", "slot", "jwt_secret")


def defaults(command: Any, file: Path) -> dict[str, Any]:
    """Click's `default_map` for this command and those under it; options and variables go before.

    Raises:
        SettingsError: the file can't be read, or is no TOML.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise SettingsError(f"no configuration file at {file}") from None
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from None
    return _defaults(command, {name: values[name] for name in _SHARED if name in values}, file)


def _defaults(command: Any, values: dict[str, Any], file: Path) -> dict[str, Any]:
    if children := getattr(command, "commands", None):
        return {name: _defaults(child, values, file) for name, child in children.items()}
    names = {parameter.name for parameter in command.params}
    # `serve` reads all of the file itself, and the environment goes before it there.
    return {"config": file} if "config" in names else values
