"""Who is signed in: as much of Supabase's Auth server as `supabase.auth` uses here.

Everybody's password is `demo`: what is shown is what row-level security makes of who asks.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from realtime_hub.auth.tokens import TokenVerifier, mint
from realtime_hub.demo.database import User
from realtime_hub.demo.requests import ApiError, answer, body_of, text_of
from realtime_hub.errors import TokenError

PASSWORD: Final = "demo"  # noqa: S105 - printed on the page
TOKEN_SECONDS: Final = 3600
_MAX_SESSIONS: Final = 1_000


class Accounts:
    """Signs users in and out, and tells whose a token is."""

    def __init__(self, secret: str, users: Sequence[User]) -> None:
        self._secret = secret
        self._verifier = TokenVerifier(secret=secret)
        self._users = {str(user.id): user for user in users}
        self._by_email = {user.email: user for user in users}
        # Refresh tokens, oldest first; there is one for each sign-in, and no more than these.
        self._sessions: OrderedDict[str, User] = OrderedDict()

    @property
    def users(self) -> Sequence[User]:
        return list(self._users.values())

    def anonymous_key(self) -> str:
        """What applications ship with: it names nobody, and is shown no row."""
        return mint(self._secret, role="anon", expires_in=30 * 24 * 3600)

    def token(self, user: User, *, seconds: float = TOKEN_SECONDS) -> str:
        return mint(
            self._secret,
            role="authenticated",
            subject=str(user.id),
            expires_in=seconds,
            email=user.email,
        )

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post("/auth/v1/token", self._sign_in),
            web.post("/auth/v1/logout", self._sign_out),
            web.get("/auth/v1/user", self._whoami),
        ]

    async def user(self, request: web.Request) -> User:
        """Whose request this is.

        Raises:
            ApiError: NotSignedIn
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            identity = await self._verifier.verify(
                token if scheme.lower() == "bearer" else "", time.time()
            )
        except TokenError as error:
            raise ApiError(401, "NotSignedIn", str(error)) from None
        user = self._users.get(identity.subject)
        if user is None:
            raise ApiError(401, "NotSignedIn", "the token names nobody who works here")
        return user

    async def _sign_in(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        match request.query.get("grant_type"):
            case "password":
                user = self._by_email.get(text_of(body, "email", 100))
                if user is None or text_of(body, "password", 100) != PASSWORD:
                    raise ApiError(400, "invalid_credentials", "no such user, or another password")
            case "refresh_token":
                user = self._sessions.pop(text_of(body, "refresh_token", 100), None)
                if user is None:
                    raise ApiError(400, "refresh_token_not_found", "signed out")
            case _:
                raise ApiError(400, "validation_failed", "grant_type: password or refresh_token")
        return answer(self._session(user))

    async def _sign_out(self, request: web.Request) -> web.Response:
        user = await self.user(request)
        for token in [token for token, whose in self._sessions.items() if whose is user]:
            if request.query.get("scope") != "local":
                del self._sessions[token]
        return web.Response(status=204)

    async def _whoami(self, request: web.Request) -> web.Response:
        return answer(_profile(await self.user(request)))

    def _session(self, user: User) -> dict[str, Any]:
        refresh = secrets.token_urlsafe(24)
        self._sessions[refresh] = user
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return {
            "access_token": self.token(user),
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "expires_at": int(time.time()) + TOKEN_SECONDS,
            "refresh_token": refresh,
            "user": _profile(user),
        }


def _profile(user: User) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "aud": "authenticated",
        "role": "authenticated",
        "email": user.email,
        "app_metadata": {"provider": "email"},
        "user_metadata": {"nombre": user.nombre, "puesto": user.puesto},
        "created_at": "2026-01-01T00:00:00Z",
    }
