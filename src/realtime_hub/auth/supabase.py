"""Supabase's `auth.uid()`, `auth.role()` and `auth.jwt()`: which definitions are known here."""

from __future__ import annotations

from typing import Any, Final

import pglast
from pglast.stream import RawStream

from realtime_hub.auth.expressions import only_target
from realtime_hub.auth.values import JSONB, TEXT, UUID, Uncertain

RESULTS: Final = {"uid": UUID, "role": TEXT, "jwt": JSONB}
"""The functions that are known, with the OID of what they must return."""


def is_known(name: str, body: str) -> bool:
    """Whether this body, of a function in SQL, is one of Supabase's published definitions."""
    try:
        return _plain(body) in _BODIES[name]
    except Uncertain:
        return False


def _plain(body: str) -> str:
    """The one expression that a body selects, in a form that spaces and aliases don't change."""
    try:
        statements = pglast.parse_sql(body)
        if len(statements) != 1:
            raise Uncertain("body")
        return str(RawStream()(only_target(statements[0].stmt)))
    except (pglast.Error, RecursionError):
        raise Uncertain("body") from None


def _claim(name: str, kind: str) -> list[str]:
    """Old definitions read a setting for each claim, new ones a setting with all of them."""
    single = f"nullif(current_setting('request.jwt.claim.{name}', true), '')"
    whole = "current_setting('request.jwt.claims', true)"
    found = [single]
    for json in ("json", "jsonb"):
        for claims in (whole, f"nullif({whole}, '')"):
            member = f"({claims}::{json} ->> '{name}')"
            found += [member, f"coalesce({single}, {member})"]
    return [f"select {body}{cast}" for body in found for cast in ("", f"::{kind}")]


def _known(bodies: list[str]) -> frozenset[str]:
    return frozenset(map(_plain, bodies))


_CLAIMS: Final = "current_setting('request.jwt.claims', true)"
_BODIES: Final[dict[str, Any]] = {
    "uid": _known(_claim("sub", "uuid")),
    "role": _known(_claim("role", "text")),
    "jwt": _known(
        [
            f"select {_CLAIMS}::jsonb",
            f"select nullif({_CLAIMS}, '')::jsonb",
            "select coalesce(nullif(current_setting('request.jwt.claim', true), ''),"
            f" nullif({_CLAIMS}, ''))::jsonb",
        ]
    ),
}
