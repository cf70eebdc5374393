"""A table's rights are read before its rows go on, however long that takes."""

from __future__ import annotations

import asyncio

import structlog

from realtime_hub.changes import Table
from realtime_hub.errors import DatabaseUnreachableError
from realtime_hub.hub.ports import Authorizer

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 0.5


async def prepare(authorizer: Authorizer, table: Table) -> None:
    """Have the authoriser read the table's rights; tried again while the database is away."""
    while True:
        try:
            await authorizer.table_changed(table)
        except DatabaseUnreachableError as error:
            log.warning("rights_unreadable", table=str(table.full_name), error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return
