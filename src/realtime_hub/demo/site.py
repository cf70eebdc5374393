"""The demo's web server: page, sign-in, reads and writes, and the way to the gateway.

Everything comes from here, and the policy of each answer forbids anything else: rows hold text
that strangers wrote.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Final

import psycopg
import psycopg_pool
from aiohttp import web
from aiohttp.typedefs import Handler

from realtime_hub.console.routes import PAGE_HEADERS
from realtime_hub.demo.accounts import Accounts
from realtime_hub.demo.api import Api
from realtime_hub.demo.proxy import Proxy
from realtime_hub.demo.requests import MAX_BODY, ApiError, refusal

_FILES: Final = {
    "/": ("page/index.html", "text/html"),
    "/demo/page.js": ("page/page.js", "text/javascript"),
    "/demo/page.css": ("page/page.css", "text/css"),
    "/demo/icon.svg": ("page/icon.svg", "image/svg+xml"),
    "/demo/licenses.txt": ("page/licenses.txt", "text/plain"),
}
_SNIPPETS: Final = {
    "/demo/listen.mjs": ("snippets/listen.mjs.template", "text/javascript"),
    "/demo/listen.py": ("snippets/listen.py.template", "text/x-python"),
}
_OURSELVES: Final = ("127.0.0.1", "localhost", "::1")
_SNIPPET_SECONDS: Final = 12 * 3600

_Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def serving(port: int, accounts: Accounts, api: Api, proxy: Proxy) -> AsyncIterator[int]:
    """Serve on 127.0.0.1; yields the port, which the system chooses if `port` is 0.

    Raises:
        OSError: the port is taken.
    """
    app = web.Application(middlewares=[_guard], client_max_size=MAX_BODY)
    app.on_response_prepare.append(_protect)
    app.add_routes(web.get(path, _static(*file)) for path, file in _FILES.items())
    app.add_routes(web.get(path, _snippet(accounts, *file)) for path, file in _SNIPPETS.items())
    for part in (accounts, api, proxy):
        app.add_routes(part.routes())
    # Request lines hold tokens, so that they are not logged.
    runner = web.AppRunner(app, access_log=None, max_line_size=32_768, max_field_size=32_768)
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=1.0)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await proxy.close()
        await runner.cleanup()


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    # A stranger's name that leads here would make the stranger's page one of ours.
    if request.url.host not in _OURSELVES:
        return refusal(ApiError(403, "WrongHost", "ask 127.0.0.1 or localhost"))
    try:
        return await handler(request)
    except ApiError as error:
        return refusal(error)
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout):
        return refusal(ApiError(503, "DatabaseUnreachable", "the database does not answer"))


async def _protect(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(PAGE_HEADERS)


def _static(name: str, content_type: str) -> _Handler:
    async def serve(_: web.Request) -> web.Response:
        return _file(_read(name), content_type)

    return serve


def _snippet(accounts: Accounts, name: str, content_type: str) -> _Handler:
    async def serve(request: web.Request) -> web.Response:
        first = accounts.users[0]
        key = accounts.token(first, seconds=_SNIPPET_SECONDS)
        # The server's own address rather than the Host header, which anybody may write.
        host, port = request.transport.get_extra_info("sockname")[:2]  # type: ignore[union-attr]
        text = _read(name).replace(b"{{url}}", f"http://{host}:{port}".encode())
        return _file(text.replace(b"{{key}}", key.encode()), content_type)

    return serve


def _read(name: str) -> bytes:
    return resources.files("realtime_hub.demo").joinpath(name).read_bytes()


def _file(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, charset="utf-8")
