"""Changes of a table as server-sent events: one channel to the database for all browsers.

DATABASE_URL=postgresql://... uvicorn examples.fastapi_app:app
curl -N localhost:8000/changes/llamadas_ventas
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from realtime_hub import ChangeStream, RealtimeHub, get_hub
from realtime_hub.errors import SubscriptionError


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with RealtimeHub.from_url(os.environ["DATABASE_URL"], name="main"):
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/changes/{table}")
async def changes(table: str, event: str = "*", filter: str | None = None) -> StreamingResponse:
    # A browser that reads too slowly loses the oldest changes, and nobody waits for it.
    try:
        stream = get_hub().stream(table, event, filter=filter, overflow="drop_oldest")
        await stream.__aenter__()
    except SubscriptionError as refusal:
        raise HTTPException(404, str(refusal)) from refusal
    return StreamingResponse(events(stream), media_type="text/event-stream")


async def events(stream: ChangeStream) -> AsyncIterator[str]:
    async with stream:
        yield ": listening\n\n"
        async for change in stream:
            yield f"event: {change.event}\ndata: {json.dumps(change.new or change.old)}\n\n"


@app.get("/statistics")
async def statistics() -> dict[str, Any]:
    return asdict(get_hub().statistics())
