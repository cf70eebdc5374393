"""What an identity's claims say, read once."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from realtime_hub.identity import Identity

# `json` keeps the sign, `jsonb` and Python do not.
_MINUS_ZERO: Final = re.compile(r"(?<=[\s:,\[])-0(?=[\s,\]}])")


@lru_cache(maxsize=65_536)
def claims_of(text: str) -> Mapping[str, Any] | None:
    """The claims as PostgreSQL reads them from this text; None where that is not certain."""
    try:
        claims = orjson.loads(text)
    except ValueError:
        return None
    # `jsonb` refuses the character NUL, whichever claim is asked for.
    if not isinstance(claims, dict) or "\\u0000" in text or _MINUS_ZERO.search(text):
        return None
    return claims


@lru_cache(maxsize=65_536)
def alike(text: str, names: frozenset[str]) -> Hashable:
    """Equal for claims that have the same values under these names, "" being all of them."""
    claims = claims_of(text)
    if claims is None or "" in names or any(_fractional(claims.get(name)) for name in names):
        return text
    return tuple(orjson.dumps(claims[name]) if name in claims else None for name in sorted(names))


def _fractional(value: object) -> bool:
    """Whether a number is in it that Python holds less exactly than PostgreSQL."""
    if isinstance(value, dict):
        return any(map(_fractional, value.values()))
    if isinstance(value, list):
        return any(map(_fractional, value))
    return isinstance(value, float)


def claim_setting(identity: Identity, name: str) -> bytes:
    """A claim as `request.jwt.claim.<name>` gets it: empty if it is no text."""
    value = (claims_of(identity.claims) or {}).get(name)
    return value.encode() if isinstance(value, str) else b""
