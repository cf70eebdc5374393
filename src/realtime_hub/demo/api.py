"""The page's reads and writes, as routes beside the gateway's."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from aiohttp import web

from realtime_hub.demo.accounts import Accounts
from realtime_hub.demo.cpu import CpuMeter
from realtime_hub.demo.database import User
from realtime_hub.demo.gateway import StoppableGateway
from realtime_hub.demo.requests import (
    ApiError,
    answer,
    bigint_in,
    body_of,
    flag_of,
    number_of,
    one_of,
    text_of,
    uuid_in,
)
from realtime_hub.demo.rows import (
    CALL,
    MESSAGES,
    READ,
    SCHEDULE,
    SEND,
    STAGE,
    STATE,
    Desk,
    Pool,
)

STAGES: Final = ("Nuevo", "Contactado", "Interesado", "Cotizado", "Reservado", "Ganado")
LONGEST_TEXT: Final = 500
MAX_WRITES: Final = 20
"""Writes of one user in `WRITE_SECONDS`."""
WRITE_SECONDS: Final = 10.0
_FAR_MINUTES: Final = 60 * 24 * 30


class Api:
    """Reads run under the user's own role and claims; writes do too, and are bounded."""

    def __init__(
        self, pool: Pool, accounts: Accounts, gateway: StoppableGateway, meter: CpuMeter
    ) -> None:
        self._pool = pool
        self._accounts = accounts
        self._gateway = gateway
        self._meter = meter
        self._writes: dict[User, deque[float]] = {}

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/demo/api/config", self._config),
            web.get("/demo/api/state", self._state),
            web.get("/demo/api/calls/{id}", self._call),
            web.get("/demo/api/conversations/{id}", self._conversation),
            web.post("/demo/api/conversations/{id}/messages", self._send),
            web.post("/demo/api/conversations/{id}/read", self._read),
            web.post("/demo/api/scheduled", self._schedule),
            web.post("/demo/api/prospects/{id}/stage", self._stage),
            web.get("/demo/api/figures", self._figures),
            web.post("/demo/api/gateway", self._switch),
        ]

    async def _config(self, _: web.Request) -> web.Response:
        users = [user.as_json() for user in self._accounts.users]
        return answer({"key": self._accounts.anonymous_key(), "users": users, "stages": STAGES})

    async def _state(self, request: web.Request) -> web.Response:
        desk = await self._desk(request)
        return answer(await desk.document(STATE))

    async def _call(self, request: web.Request) -> web.Response:
        desk = await self._desk(request)
        return answer(await desk.document(CALL, {"id": bigint_in(request, "id")}))

    async def _conversation(self, request: web.Request) -> web.Response:
        desk = await self._desk(request)
        return answer(await desk.document(MESSAGES, {"id": uuid_in(request, "id")}))

    async def _send(self, request: web.Request) -> web.Response:
        desk = await self._writing_desk(request)
        body = await body_of(request)
        values = {
            "conversation": uuid_in(request, "id"),
            "text": text_of(body, "text", LONGEST_TEXT),
        }
        return _written(await desk.write(SEND, values))

    async def _read(self, request: web.Request) -> web.Response:
        desk = await self._writing_desk(request)
        await desk.run(READ, {"id": uuid_in(request, "id")})
        return web.Response(status=204)

    async def _schedule(self, request: web.Request) -> web.Response:
        desk = await self._writing_desk(request)
        body = await body_of(request)
        values = {
            "prospect": number_of(body, "prospect", 1, 2**53),
            "minutes": number_of(body, "minutes", 1, _FAR_MINUTES),
            "reason": text_of(body, "reason", LONGEST_TEXT),
        }
        return _written(await desk.write(SCHEDULE, values))

    async def _stage(self, request: web.Request) -> web.Response:
        desk = await self._writing_desk(request)
        stage = one_of(await body_of(request), "stage", STAGES)
        return _written(await desk.write(STAGE, {"id": bigint_in(request, "id"), "stage": stage}))

    async def _figures(self, request: web.Request) -> web.Response:
        await self._accounts.user(request)
        database = self._meter.reading
        return answer(
            {
                "at": time.time(),
                "gateway": {"running": self._gateway.running, **self._gateway.statistics()},
                "database": None if database is None else database.as_json(),
            }
        )

    async def _switch(self, request: web.Request) -> web.Response:
        user = await self._accounts.user(request)
        if user.puesto != "supervisor":
            raise ApiError(403, "NotAllowed", "a supervisor may stop the gateway")
        await self._gateway.switch(flag_of(await body_of(request), "running"))
        return answer({"running": self._gateway.running})

    async def _desk(self, request: web.Request) -> Desk:
        return Desk(self._pool, str((await self._accounts.user(request)).id))

    async def _writing_desk(self, request: web.Request) -> Desk:
        user = await self._accounts.user(request)
        now = time.monotonic()
        writes = self._writes.setdefault(user, deque(maxlen=MAX_WRITES))
        if len(writes) == MAX_WRITES and now - writes[0] < WRITE_SECONDS:
            raise ApiError(
                429, "TooManyWrites", f"at most {MAX_WRITES} in {WRITE_SECONDS:g} seconds"
            )
        writes.append(now)
        return Desk(self._pool, str(user.id))


def _written(key: int | None) -> web.Response:
    if key is None:
        raise ApiError(404, "NotFound", "there is none, or it is not yours to see")
    return answer({"id": key}, status=201)
