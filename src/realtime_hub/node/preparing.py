"""A table's rights are read before its rows go on."""

from __future__ import annotations

import asyncio
import math
import time

import structlog

from realtime_hub.changes import Table
from realtime_hub.errors import DatabaseUnreachableError
from realtime_hub.hub.ports import Authorizer

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 0.5


async def prepare(authorizer: Authorizer, table: Table, *, patience: float = math.inf) -> bool:
    """Have the authoriser read the table's rights; tried again while the database is away.

    patience: seconds after which it is given up. Answers whether the rights were read.
    """
    until = time.monotonic() + patience
    while True:
        try:
            await authorizer.table_changed(table)
        except DatabaseUnreachableError as error:
            log.warning("rights_unreadable", table=str(table.full_name), error=str(error))
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return True
