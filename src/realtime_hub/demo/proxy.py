"""Hands what is the gateway's on to it, as the reverse proxy in front of a Supabase project does.

The page and its reads stay there when the gateway is stopped, and clients need one address.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp import web

from realtime_hub.demo.gateway import StoppableGateway

_SOCKETS: Final = ("/realtime/v1/websocket", "/socket/websocket")
_MAX_FRAME: Final = 8 * 1024 * 1024
_PASSED_ON: Final = (
    "Accept",
    "apikey",
    "Authorization",
    "Content-Type",
    "Last-Event-ID",
    "Origin",
    "x-api-key",
)
_HANDED_BACK: Final = ("Content-Type", "Location", "WWW-Authenticate")
_NO_END: Final = aiohttp.ClientTimeout(total=None)  # a stream of events ends with its reader
_UNSENDABLE: Final = (1005, 1006, 1015)
"""What a connection that ended without a close frame is given, and no frame may carry."""


class Proxy:
    """Routes to the gateway, which come last: what nobody else serves is asked there.

    `close` when the server has stopped.
    """

    def __init__(self, gateway: StoppableGateway) -> None:
        self._gateway = gateway
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            *(web.get(path, self._socket) for path in _SOCKETS),
            web.route("*", "/{rest:.*}", self._plain),
        ]

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        return self._session

    def _target(self, request: web.Request) -> tuple[str, dict[str, str]]:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        return f"http://127.0.0.1:{self._gateway.port}{request.rel_url}", headers

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        url, headers = self._target(request)
        body = request.content if request.can_read_body else None
        try:
            async with self._client().request(
                request.method,
                url,
                headers=headers,
                data=body,
                timeout=_NO_END,
                allow_redirects=False,
            ) as answer:
                return await _stream(answer, request)
        except aiohttp.ClientError:
            return _away()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        url, headers = self._target(request)
        try:
            upstream = await self._client().ws_connect(
                url, headers=headers, autoclose=False, autoping=False, max_msg_size=_MAX_FRAME
            )
        except aiohttp.WSServerHandshakeError as refusal:
            return web.json_response({"error": refusal.message}, status=refusal.status)
        except aiohttp.ClientError:
            return _away()
        async with upstream:
            client = web.WebSocketResponse(
                autoclose=False, autoping=False, max_msg_size=_MAX_FRAME, compress=False
            )
            await client.prepare(request)
            ways = [
                asyncio.ensure_future(_pump(upstream, client)),
                asyncio.ensure_future(_pump(client, upstream)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                code = upstream.close_code
                await client.close(code=1001 if code is None or code in _UNSENDABLE else code)
            return client


_End = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: _End, target: _End) -> None:
    async for message in source:
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                await target.send_str(message.data)
            case aiohttp.WSMsgType.BINARY:
                await target.send_bytes(message.data)
            case aiohttp.WSMsgType.PING:
                await target.ping(message.data)
            case aiohttp.WSMsgType.PONG:
                await target.pong(message.data)
            case _:
                return


async def _stream(answer: aiohttp.ClientResponse, request: web.Request) -> web.StreamResponse:
    headers = {name: answer.headers[name] for name in _HANDED_BACK if name in answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    return response


def _away() -> web.Response:
    return web.json_response({"error": "The gateway is stopped"}, status=503)
