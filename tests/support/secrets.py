"""Finds what must never be written anywhere: secrets, passwords, keys and signed tokens."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterable

from tests.support.tokens import SECRET

_TOKEN = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}")
_PASSWORD = re.compile(r"(?:postgres(?:ql)?://[^:@/\s]+:(?!\*+@|xxx)[^@/\s]+@|password=(?!\*)\S)")


def found_in(text: str, secrets: Iterable[str] = ()) -> list[str]:
    """What kinds of secrets stand in a text; never the secrets themselves."""
    kinds = []
    if any(secret in text for secret in {SECRET, *secrets} if secret):
        kinds.append("a secret or key")
    if _TOKEN.search(text):
        kinds.append("a signed token")
    if _PASSWORD.search(text):
        kinds.append("a database password")
    return kinds


def told_by(url: str) -> str:
    """All that a gateway tells anybody who asks; nothing if it does not answer."""
    return "".join(map(_get, (f"{url}/metrics", f"{url}/api/stats", f"{url}/readyz")))


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode(errors="replace"))
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.read().decode(errors="replace"))
    except OSError:
        return ""
