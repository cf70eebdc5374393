"""Tokens: from a JWT or an opaque key to an Identity.

Format: RFC 7519 (JWT), RFC 7515 (JWS, compact). Only the algorithms of `auth.keys` are
accepted, whatever the header says; of the header's parameters only `alg` and `kid` are used,
and `crit` must be absent.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from typing import Any, Final, Never

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning

from realtime_hub.auth.keys import JsonWebKeys, Key, fits, secret_key, type_of_algorithm
from realtime_hub.errors import (
    TokenClaimsError,
    TokenError,
    TokenExpiredError,
    TokenMalformedError,
    TokenMissingError,
    TokenSignatureError,
)
from realtime_hub.identity import Identity

MAX_TOKEN_LENGTH: Final = 16_384
_MAX_DEPTH: Final = 32
_BROKEN: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
_FAR_FUTURE: Final = 1e11  # seconds; some clients send `exp` in milliseconds, or worse


class TokenVerifier:
    """Verifies tokens.

    secret: for HS256, HS384, HS512. jwks: URL or file of a key set. issuer and audience are
    required of a token where given. leeway: seconds that clocks may be apart. api_keys: opaque
    keys and the role that each stands for.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        jwks: str | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        leeway: float = 0.0,
        api_keys: Mapping[str, str] | None = None,
    ) -> None:
        self._secret = None if secret is None else secret_key(secret)
        self._jwks = None if jwks is None else JsonWebKeys(jwks)
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._api_keys = dict(api_keys or {})

    async def verify(self, token: str, now: float) -> Identity:
        """The identity of a token that holds at `now`, in seconds since the Unix epoch.

        Raises:
            TokenMissingError, TokenMalformedError, TokenSignatureError, TokenClaimsError,
            TokenExpiredError: in the order in which they are looked for.
        """
        if not token:
            raise TokenMissingError
        role = self._api_keys.get(token)
        if role is not None:
            return Identity(role, orjson.dumps({"role": role}).decode())
        payload = await self._payload(token)
        return self._identity(_claims(payload), payload, now)

    async def _payload(self, token: str) -> bytes:
        """The token's payload, its signature verified."""
        header = _header(token)
        key = await self._key(header)
        if key is None:
            raise TokenSignatureError
        # RFC 9864 renames EdDSA to Ed25519; whoever reads tokens must know both.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            try:
                return jws.deserialize_compact(token, key, algorithms=[header["alg"]]).payload
            except _BROKEN:
                raise TokenSignatureError from None

    async def _key(self, header: Mapping[str, Any]) -> Key | None:
        algorithm, key_id = header["alg"], header.get("kid")
        if self._jwks is not None and isinstance(key_id, str):
            found = await self._jwks.find(key_id)
            if found is not None:
                return found if fits(algorithm, found) else None
        if self._secret is not None and fits(algorithm, self._secret):
            return self._secret
        return None

    def _identity(self, claims: Mapping[str, Any], payload: bytes, now: float) -> Identity:
        role, expires_at = claims.get("role"), _moment(claims.get("exp"))
        if not isinstance(role, str) or not role or expires_at is None:
            raise TokenClaimsError
        if expires_at + self._leeway <= now:
            raise TokenExpiredError(int(now - expires_at))
        starts_at = _moment(claims["nbf"]) if "nbf" in claims else 0.0
        if starts_at is None or starts_at - self._leeway > now:
            raise TokenClaimsError("The token is not valid yet")
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise TokenClaimsError("The token's issuer is not accepted")
        if self._audience is not None and self._audience not in _listed(claims.get("aud")):
            raise TokenClaimsError("The token's audience is not accepted")
        subject = claims.get("sub", "")
        subject = subject if isinstance(subject, str) else ""
        return Identity(role, payload.decode(), subject, expires_at)


def mint(
    secret: str, *, role: str, subject: str | None = None, expires_in: float = 3600, **claims: Any
) -> str:
    """Sign a token with HS256, for trying things out."""
    now = int(time.time())
    payload = {"role": role, "iat": now, "exp": now + int(expires_in), **claims}
    if subject is not None:
        payload["sub"] = subject
    return jwt.encode({"alg": "HS256"}, payload, secret_key(secret), algorithms=["HS256"])


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_LENGTH or token.count(".") != 2 or not token.isascii():
        raise TokenMalformedError
    try:
        header = jws.extract_compact(token.encode()).headers()
    except _BROKEN:
        raise TokenMalformedError from None
    if not isinstance(header.get("alg"), str):
        raise TokenMalformedError
    if header["alg"] not in type_of_algorithm or "crit" in header:
        raise TokenSignatureError
    return header


def _claims(payload: bytes) -> dict[str, Any]:
    """The claims, if PostgreSQL would read the same ones from this text.

    Refused are names that come twice, numbers that JSON does not have, lone surrogates and
    the character NUL, which `jsonb` can't hold.
    """
    try:
        claims = orjson.loads(payload)
        json.loads(payload, object_pairs_hook=_distinct_names, parse_constant=_refuse)
    except _BROKEN:
        raise TokenMalformedError from None
    if not isinstance(claims, dict) or _odd(claims, _MAX_DEPTH):
        raise TokenMalformedError
    return claims


def _distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(names := dict(pairs)) != len(pairs):
        raise ValueError("a name comes twice")
    return names


def _refuse(_constant: str) -> Never:
    raise ValueError("not a JSON number")


def _moment(value: object) -> float | None:
    """A NumericDate (RFC 7519, section 2) that makes sense."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _FAR_FUTURE else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _odd(value: object, depth: int) -> bool:
    """Whether it is nested too deeply, or has NUL in a text."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return depth == 0 or any(
            "\0" in name or _odd(item, depth - 1) for name, item in value.items()
        )
    if isinstance(value, list):
        return depth == 0 or any(_odd(item, depth - 1) for item in value)
    return False


__all__ = ["MAX_TOKEN_LENGTH", "TokenError", "TokenVerifier", "mint"]
