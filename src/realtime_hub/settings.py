"""All settings, from the command line, `REALTIME_HUB_*` variables, a TOML file, or defaults.

Earlier sources win, in that order. docs/configuration.md is checked against this model.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from realtime_hub.errors import SettingsError

ENV_PREFIX = "REALTIME_HUB_"


class Deletes(StrEnum):
    COMPATIBLE = "compatible"
    STRICT = "strict"


class LogFormat(StrEnum):
    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """What a gateway needs to know. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    # The database
    database_url: SecretStr = Field(
        description="PostgreSQL connection URL of a role with REPLICATION; a direct connection, "
        "since poolers can't replicate"
    )
    publication: str = Field("supabase_realtime", description="publication whose tables are served")
    messages_publication: str = Field(
        "supabase_realtime_messages_publication",
        description="publication of `realtime.messages` alone, as Supabase projects have one; read "
        "too if it exists when the gateway starts",
    )
    slot: str = Field(
        "realtime_hub",
        pattern=r"^[a-z0-9_]{1,63}$",
        description="replication slot, made if it does not exist; one name per deployment",
    )
    catalog_connections: int = Field(
        4, ge=1, le=100, description="connections for look-ups in the catalog and for filters"
    )
    authorization_connections: int = Field(
        4, ge=1, le=100, description="connections that ask policies; apart from all others"
    )
    publication_poll: float = Field(
        2.0, gt=0, description="how often the publication's tables are looked up"
    )
    heartbeat: float = Field(
        10.0, ge=0, description="pulses in the WAL while tables are idle, if rights allow; 0: none"
    )

    slot_failover: bool = Field(
        False, description="have standbys keep the slot too (PostgreSQL 17 and later)"
    )
    log: str | None = Field(
        None,
        description="file that keeps changes for clients that come back; `memory`: none, for "
        "trials; unset: `<slot>.sqlite` in the state directory",
    )
    log_max_age: float = Field(3600.0, gt=0, description="how long changes are kept")
    log_max_bytes: int = Field(
        1024 * 1024 * 1024, ge=1_048_576, description="how much of them is kept"
    )

    # Who may listen
    jwt_secret: SecretStr | None = Field(
        None, description="secret of HS256, HS384 and HS512 tokens"
    )
    jwks: str | None = Field(
        None, description="URL or file of a JSON Web Key Set, for RS256, ES256 and EdDSA tokens"
    )
    jwt_issuer: str | None = Field(None, description="required `iss` of tokens")
    jwt_audience: str | None = Field(None, description="required `aud` of tokens")
    jwt_leeway: float = Field(
        0.0, ge=0, le=300, description="how far clocks may be apart when tokens are judged"
    )
    api_keys: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="opaque keys (sb_...) and the role that each stands for",
    )
    deletes: Deletes = Field(
        Deletes.COMPATIBLE,
        description="who gets the key of a deleted row under row-level security: `compatible` as "
        "Supabase does, `strict` only who provably could see the row",
    )
    policy_timeout: float = Field(
        2.0, gt=0, description="after which a policy that is still being asked is given up"
    )
    policy_patience: float = Field(
        10.0, gt=0, description="how long changes wait for a verdict while PostgreSQL is away"
    )
    membership_poll: float = Field(
        1.0, gt=0, description="how often role memberships and function bodies are looked up"
    )

    private_only: bool = Field(False, description="refuse channels that are not private")
    channel_policy_ttl: float = Field(
        300.0,
        gt=0,
        description="how long an answer of the policies on `realtime.messages` holds; a refreshed "
        "token is asked for anew at once",
    )
    messages_retention: float = Field(
        259_200.0, ge=0, description="how long `realtime.messages` keeps broadcasts, in whole days"
    )

    console_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="opens the console at `/console`, beside tokens of the role `service_role`",
    )

    # The server
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(4000, ge=0, le=65535, description="port to listen on; 0: any free one")
    proxy_to: str | None = Field(
        None,
        description="address of the Supabase project that all but `/realtime/v1` is passed on to",
    )
    allowed_origins: list[str] | None = Field(
        None, description="values of the Origin header that browsers may connect from; unset: any"
    )
    max_connections: int = Field(10_000, ge=1, description="open WebSockets")
    max_channels_per_connection: int = Field(100, ge=1, description="topics of one WebSocket")
    max_joins_per_second: int = Field(
        100, ge=1, description="joins of one WebSocket, averaged over a minute"
    )
    max_joins_per_second_overall: int = Field(
        2_500, ge=1, description="joins of all WebSockets together, averaged over a minute"
    )
    max_messages_per_second: int = Field(
        100, ge=1, description="broadcasts from one WebSocket, averaged over a minute"
    )
    max_messages_per_second_overall: int = Field(
        2_500,
        ge=1,
        description="broadcasts from all WebSockets and over HTTP, averaged over a minute",
    )
    max_presence_per_second: int = Field(
        1_000, ge=1, description="`track` calls of all WebSockets, averaged over a minute"
    )
    max_presence_calls: int = Field(
        5, ge=1, description="presence calls of one channel within `presence_call_window`"
    )
    presence_call_window: float = Field(
        30.0, gt=0, description="over which the presence calls of a channel are counted"
    )
    presence_window: float = Field(
        0.05, ge=0, description="changes of presence within this time are told in one message"
    )
    max_broadcast_bytes: int = Field(
        3_000_500, ge=1, description="largest payload of a broadcast, or of what is tracked"
    )
    max_bindings_per_channel: int = Field(
        100, ge=1, description="`postgres_changes` entries of one join"
    )
    max_frame_bytes: int = Field(5_000_000, ge=1024, description="largest frame that is taken")
    max_queued_bytes: int = Field(
        4 * 1024 * 1024,
        ge=65_536,
        description="what may wait for a client that reads slowly before it is told to come back",
    )
    max_change_bytes: int = Field(
        1_048_576, ge=1024, description="larger changes come without their large values (error 413)"
    )
    idle_timeout: float = Field(60.0, gt=0, description="a WebSocket that says nothing is closed")

    # Saying what happens
    log_level: LogLevel = Field(LogLevel.INFO, description="least level that is logged")
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="`auto` is `console` on a terminal and `json` elsewhere"
    )

    @property
    def log_path(self) -> Path | None:
        """The file that keeps changes; None if they are kept in memory only."""
        if self.log == "memory":
            return None
        return (
            Path(self.log).expanduser() if self.log else state_directory() / f"{self.slot}.sqlite"
        )

    @classmethod
    def load(cls, file: Path | None = None, **given: Any) -> Self:
        """Settings from all sources; `given` are those of the command line, None for not given.

        Raises:
            SettingsError: a setting is missing or wrong, or the file can't be read.
        """
        if file is not None and not file.is_file():
            raise SettingsError(f"no configuration file at {file}")
        chosen = {name: value for name, value in given.items() if value is not None}
        source = type("_FromFile", (cls,), {"model_config": {"toml_file": file}})
        try:
            return source(**chosen)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None
        except ValueError as error:
            raise SettingsError(f"{file or 'settings'}: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def state_directory() -> Path:
    """Where a service keeps its files: systemd's STATE_DIRECTORY, else that of the user (XDG)."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "realtime-hub"


def _explain(error: ValidationError) -> str:
    """Every problem with the names under which the setting can be given; never its value."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        option = "--" + name.replace("_", "-")
        lines.append(f"{name}: {problem['msg']} (set {option} or {ENV_PREFIX}{name.upper()})")
    return "; ".join(lines)
