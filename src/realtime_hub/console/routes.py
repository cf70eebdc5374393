"""The console's HTTP routes: a page without data, and data for whoever has the right token.

The page asks nothing of anybody else, and its policy would not let it. Tokens come in the
Authorization header alone, so that no other page can use them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from importlib import resources
from typing import Any, Final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from realtime_hub.console.readings import channels, explanations, figures
from realtime_hub.errors import DatabaseUnreachableError, TokenError, TokenMissingError
from realtime_hub.gateway.census import Census
from realtime_hub.gateway.http import STATS_ROLE
from realtime_hub.gateway.ports import TokenVerifier
from realtime_hub.gateway.rest import token_of

PATH: Final = "/console"

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of a page that shows what strangers wrote: it is from here alone, and so is all it asks for."""

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_PAGE: Final = "index.html"

Read = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the console reads. audit: findings in the order of their weight.

    token: opens the console beside tokens of the service role; None for those alone.
    """

    registry: CollectorRegistry
    tokens: TokenVerifier
    census: Callable[[], Awaitable[Census]]
    audit: Callable[[], Awaitable[list[dict[str, Any]]]]
    token: str | None = None


class Console:
    """Serves the page and what it shows. Nothing here changes anything."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def routes(self) -> list[web.RouteDef]:
        page = resources.files("realtime_hub.console") / "page"
        files = [
            web.get(f"{PATH}/{file.name}", _serving(file.read_bytes(), _type_of(file.name)))
            for file in page.iterdir()
            if _type_of(file.name) and file.name != _PAGE
        ]
        html = _serving((page / _PAGE).read_bytes(), "text/html")
        return [
            *files,
            web.get(PATH, _moved),
            web.get(f"{PATH}/", html),
            web.get(f"{PATH}/api/figures", self._guarded(self._figures)),
            web.get(f"{PATH}/api/metrics", self._guarded(self._metrics)),
            web.get(f"{PATH}/api/channels", self._guarded(self._channels)),
            web.get(f"{PATH}/api/audit", self._guarded(self._audit)),
        ]

    async def _figures(self) -> dict[str, Any]:
        return figures(self._sources.registry)

    async def _metrics(self) -> dict[str, Any]:
        return explanations(self._sources.registry)

    async def _channels(self) -> dict[str, Any]:
        return channels(await self._sources.census())

    async def _audit(self) -> dict[str, Any]:
        return {"at": time.time(), "findings": await self._sources.audit()}

    def _guarded(self, read: Read) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            try:
                if not await self._may_read(token_of(request)):
                    return _json(403, {"message": f"The role {STATS_ROLE} is needed"})
                return _json(200, await read())
            except TokenError as error:
                return _json(401, {"code": error.code, "message": str(error)})
            except DatabaseUnreachableError as error:
                return _json(503, {"code": error.code, "message": str(error)})

        return serve

    async def _may_read(self, token: str) -> bool:
        own = self._sources.token
        if own is not None and compare_digest(token.encode(), own.encode()):
            return True
        if not token:
            raise TokenMissingError
        identity = await self._sources.tokens.verify(token, time.time())
        return identity.role == STATS_ROLE


async def _moved(_: web.Request) -> web.Response:
    """Relative, since the gateway may stand behind a proxy's prefix."""
    return web.Response(status=308, headers={"Location": "console/", **PAGE_HEADERS})


def _serving(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers=PAGE_HEADERS
        )

    return serve


def _type_of(name: str) -> str:
    return _TYPES.get(name[name.rfind(".") :], "")


def _json(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers=PAGE_HEADERS,
    )
