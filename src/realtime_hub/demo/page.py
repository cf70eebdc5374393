"""The demo's web page and what it asks for, as routes beside the gateway's own.

Everything comes from this server, and the policy of each answer forbids anything else: rows
hold text that strangers wrote.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Final
from uuid import UUID

import orjson
from aiohttp import web

from realtime_hub.auth.tokens import mint
from realtime_hub.demo.database import User, state

TOKEN_SECONDS: Final = 12 * 3600

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES: Final = {
    "/": ("page/index.html", "text/html"),
    "/demo/page.js": ("page/page.js", "text/javascript"),
    "/demo/realtime.js": ("page/realtime.js", "text/javascript"),
    "/demo/icon.svg": ("page/icon.svg", "image/svg+xml"),
    "/demo/page.css": ("page/page.css", "text/css"),
}
_SNIPPETS: Final = {
    "/demo/listen.mjs": ("snippets/listen.mjs.template", "text/javascript"),
    "/demo/listen.py": ("snippets/listen.py.template", "text/x-python"),
}

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Page:
    """Serves the page, its users' tokens, and what they see when they arrive.

    users: supervisors first; the first one is who the page and the snippets begin as.
    """

    def __init__(self, dsn: str, secret: str, users: Sequence[User]) -> None:
        self._dsn = dsn
        self._secret = secret
        self._users = {str(user.id): user for user in users}
        self._first = users[0]

    def routes(self) -> list[web.AbstractRouteDef]:
        """For the gateway."""
        static = [web.get(path, _static(*file)) for path, file in _FILES.items()]
        snippets = [web.get(path, self._snippet(*file)) for path, file in _SNIPPETS.items()]
        return [
            *static,
            *snippets,
            web.get("/demo/session", self._session),
            web.get("/demo/state", self._state),
        ]

    def token(self, user: User) -> str:
        return mint(
            self._secret,
            role="authenticated",
            subject=str(user.id),
            expires_in=TOKEN_SECONDS,
        )

    async def _session(self, request: web.Request) -> web.Response:
        user = self._user(request)
        body = {
            "token": self.token(user),
            "user": user.as_json(),
            "users": [each.as_json() for each in self._users.values()],
        }
        return _answer(orjson.dumps(body), "application/json")

    async def _state(self, request: web.Request) -> web.Response:
        user = self._user(request)
        return _answer(await state(self._dsn, UUID(str(user.id))), "application/json")

    def _user(self, request: web.Request) -> User:
        asked = request.query.get("user")
        if asked is None:
            return self._first
        try:
            return self._users[asked]
        except KeyError:
            raise web.HTTPNotFound(text="no such user", headers=_HEADERS) from None

    def _snippet(self, name: str, content_type: str) -> _Handler:
        async def serve(request: web.Request) -> web.Response:
            # The server's own address rather than the Host header, which anybody may write.
            host, port = request.transport.get_extra_info("sockname")[:2]  # type: ignore[union-attr]
            text = _read(name).replace(b"{{url}}", f"http://{host}:{port}".encode())
            return _answer(text.replace(b"{{key}}", self.token(self._first).encode()), content_type)

        return serve


def _static(name: str, content_type: str) -> _Handler:
    async def serve(_: web.Request) -> web.Response:
        return _answer(_read(name), content_type)

    return serve


def _read(name: str) -> bytes:
    return resources.files("realtime_hub.demo").joinpath(name).read_bytes()


def _answer(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)
