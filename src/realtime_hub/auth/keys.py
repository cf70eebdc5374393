"""Where verification keys come from: a shared secret, and a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from realtime_hub.errors import SettingsError

log = structlog.get_logger(__name__)

type_of_algorithm: Final[Mapping[str, str]] = {
    "HS256": "oct", "HS384": "oct", "HS512": "oct",
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC",
    "EdDSA": "OKP", "Ed25519": "OKP",
}  # fmt: skip
"""Algorithms that are accepted, and the type of key that each needs."""

Key = OctKey | RSAKey | ECKey | OKPKey

_MAX_BYTES: Final = 256 * 1024
_FETCH_SECONDS: Final = 5.0
_FRESH_SECONDS: Final = 600.0
_RETRY_SECONDS: Final = 10.0
"""Least time between two fetches that unknown key ids cause: a flood of them costs one fetch."""


class JsonWebKeys:
    """A key set from a URL or a file, read when it is needed and again when it is old.

    A key id that the set does not have causes at most one reading in ten seconds, so that
    rotated keys are found and invented ids cost nothing. While a reading fails the known keys
    go on to serve.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._keys: dict[str, Key] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> Key | None:
        """The key with this id; None if there is none."""
        age = time.monotonic() - self._read_at
        if age > _FRESH_SECONDS or (key_id not in self._keys and age > _RETRY_SECONDS):
            async with self._lock:
                if time.monotonic() - self._read_at > min(age, _RETRY_SECONDS):
                    await self._read()
        return self._keys.get(key_id)

    async def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            entries = orjson.loads(await self._content())["keys"]
            self._keys = dict(filter(None, map(_imported, entries)))
        except (OSError, TimeoutError, ValueError, TypeError, KeyError, aiohttp.ClientError) as e:
            log.warning("jwks_unreadable", location=self._location, error=type(e).__name__)

    async def _content(self) -> bytes:
        if not self._location.startswith(("http://", "https://")):
            return await asyncio.to_thread(_file_content, self._location)
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        content = bytearray()
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._location, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError("no key set there")
            async for chunk in response.content.iter_chunked(16_384):
                content += chunk
                if len(content) > _MAX_BYTES:
                    raise ValueError("key set is too large")
        return bytes(content)


def _file_content(location: str) -> bytes:
    with Path(location).open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError("key set is too large")
    return content


def _imported(entry: Any) -> tuple[str, Key] | None:
    """A key with its id; None for one that can't verify: others of its set still can."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    make: Any = _MAKERS.get(str(entry.get("kty")))
    key_id = entry.get("kid")
    if make is None or not isinstance(key_id, str) or not key_id:
        return None
    try:
        return key_id, make.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


_MAKERS: Final = {"oct": OctKey, "RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


def secret_key(secret: str) -> OctKey:
    """The key of HMAC algorithms.

    Raises:
        SettingsError: the secret is empty.
    """
    if not secret:
        raise SettingsError("jwt_secret is empty")
    return OctKey.import_key(secret)


def fits(algorithm: str, key: Key) -> bool:
    """Whether a key may verify this algorithm: never an HMAC with a public key."""
    wanted: Any = type_of_algorithm.get(algorithm)
    return wanted is not None and key.key_type == wanted
