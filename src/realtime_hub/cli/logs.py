"""How log records look, and what must never stand in them."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

from realtime_hub.settings import LogFormat, LogLevel

_SECRETS: Final = (
    (re.compile(r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), "<token>"),
    (re.compile(r"sb_(publishable|secret)_[\w-]+"), r"sb_\1_<key>"),
    (re.compile(r"(://[^:@/\s]+):[^@\s]+@"), r"\1:<password>@"),
    (re.compile(r"(password=)('[^']*'|\S+)"), r"\1<password>"),
)


def configure_logs(level: LogLevel, form: LogFormat) -> None:
    """Send records to standard error, for people on a terminal, else as JSON lines."""
    console = form is LogFormat.CONSOLE or (form is LogFormat.AUTO and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.name)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")


def redact_secrets(_: object, __: str, event: EventDict) -> EventDict:
    """A last net under code that must not log secrets in the first place."""
    return {name: redacted(value) for name, value in event.items()}


def redacted(value: Any) -> Any:
    """Text without tokens, keys and passwords; containers likewise; other values as they are."""
    if isinstance(value, str):
        for pattern, shown in _SECRETS:
            value = pattern.sub(shown, value)
        return value
    if isinstance(value, dict):
        return {name: redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value
