"""A library's log belongs to the application: to `logging`, unless that has set up structlog."""

from __future__ import annotations

import structlog


def use_logging() -> None:
    """Send what is logged to the standard library's loggers `realtime_hub.*`.

    Without any set-up structlog prints everything to standard output.
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
