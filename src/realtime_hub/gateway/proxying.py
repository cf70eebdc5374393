"""Everything that is not Realtime goes through to the project: one address for a whole client.

supabase-js derives its realtime address from the project's. Bodies stream both ways with the
sockets' own back-pressure; the size of headers is the server's limit. Redirects, cookies and
encodings pass as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
import structlog
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from realtime_hub.errors import SettingsError

log = structlog.get_logger(__name__)

_REALTIME: Final = "/realtime/v1"
_CONNECT_SECONDS: Final = 10.0
_MAX_HEADER: Final = 32_768
_MAX_FRAME: Final = 16 * 1024 * 1024
_CHUNK: Final = 65_536
# RFC 9110, section 7.6.1: these concern one connection only.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "proxy-authenticate", "proxy-authorization", "host"}
)


class Proxy:
    """Passes requests on to `target`, the address of a Supabase project."""

    def __init__(self, target: str) -> None:
        """Raises SettingsError where `target` is no http or https URL without a path."""
        url = URL(target.rstrip("/"))
        if url.scheme not in ("http", "https") or not url.host or url.path not in ("", "/"):
            raise SettingsError("proxy_to: not the address of a project (https://<host>)")
        self._target = url
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """One route for all that no other route takes; add it last."""
        return [web.route("*", "/{path:.*}", self._pass)]

    async def aclose(self) -> None:
        """Close the connections to the project; may be called again."""
        if self._session is not None:
            await self._session.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if request.path == _REALTIME or request.path.startswith(_REALTIME + "/"):
            raise web.HTTPNotFound  # the project's own Realtime is not reached through here
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._socket(request)
            return await self._plain(request)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("proxy_failed", path=request.path, reason=type(error).__name__)
            raise web.HTTPBadGateway(text="The project does not answer") from None

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        async with self._open().request(
            request.method,
            self._url(request),
            headers=_passed(request.headers, request.remote),
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=_passed(answer.headers)
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_chunked(_CHUNK):
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in asked.split(",") if name.strip()]
        headers = _passed(request.headers, request.remote)
        for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
            headers.popall(name, None)
        async with self._open().ws_connect(
            self._url(request), headers=headers, protocols=protocols, max_msg_size=_MAX_FRAME
        ) as there:
            chosen = [there.protocol] if there.protocol else []
            here = web.WebSocketResponse(protocols=chosen, max_msg_size=_MAX_FRAME)
            await here.prepare(request)
            ways = {
                asyncio.create_task(_pump(here, there)),
                asyncio.create_task(_pump(there, here)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await here.close(code=there.close_code or 1000)
            return here

    def _url(self, request: web.Request) -> URL:
        # As it came: decoding and encoding again could change what it means.
        return URL(f"{self._target}{request.raw_path}", encoded=True)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS),
                max_line_size=_MAX_HEADER,
                max_field_size=_MAX_HEADER,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


def _passed(headers: Mapping[str, str], client: str | None = None) -> CIMultiDict[str]:
    """What goes on: all but what concerns this connection. client: who asked, to be told."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    kept = CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )
    if client is not None:
        kept["X-Forwarded-For"] = client  # ours alone: what a client claims is not passed on
    return kept


async def _pump(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
