"""Tokens as Supabase signs them: JWT, HS256."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "a-secret-of-the-tests-that-is-long-enough-for-hs256"


def make_token(
    role: str | None = "authenticated",
    sub: str | None = None,
    *,
    secret: str = SECRET,
    lifetime: float = 3600,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A signed token that expires in `lifetime` seconds; `claims` override everything else."""
    payload: dict[str, Any] = {"exp": int(time.time() + lifetime)}
    if role is not None:
        payload["role"] = role
    if sub is not None:
        payload["sub"] = sub
    payload.update(claims)
    return sign(payload, secret=secret, header=header)


def sign(
    payload: dict[str, Any] | bytes,
    *,
    secret: str = SECRET,
    header: dict[str, Any] | None = None,
) -> str:
    """Sign a payload as it stands; bytes are taken as the payload's own JSON text."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = payload if isinstance(payload, bytes) else _compact(payload)
    signed = f"{_encode(_compact(head))}.{_encode(body)}"
    if head.get("alg") == "none":
        return f"{signed}."
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encode(mac)}"


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
