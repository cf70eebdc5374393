"""Which upstream a URL or a client stands for; each is imported only where it is needed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from realtime_hub.errors import HubMisusedError, SettingsError
from realtime_hub.library.ports import Upstream

_DATABASE = ("postgresql", "postgres")
_SERVER = ("ws", "wss", "http", "https")


def upstream_for(
    url: str, *, api_key: str | None, token: str | None, publication: str, slot: str | None
) -> Upstream:
    """Raises SettingsError, which holds no part of the URL but its scheme; MissingExtraError."""
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in _DATABASE:
        if api_key is not None or token is not None:
            raise SettingsError("api_key and token are for Realtime servers; a database has roles")
        from realtime_hub.library.upstreams.postgres import PostgresUpstream

        return PostgresUpstream(url, publication=publication, slot=slot)
    if scheme in _SERVER:
        if slot is not None:
            raise SettingsError("slot is for databases; a Realtime server keeps its own")
        from realtime_hub.library.upstreams.realtime import RealtimeUpstream

        return RealtimeUpstream(_endpoint(url), api_key=api_key, token=token)
    known = ", ".join(f"{name}://" for name in (*_DATABASE, *_SERVER))
    raise SettingsError(f"a hub's URL begins with one of {known}; this one with {scheme[:20]!r}")


def upstream_of_client(client: Any) -> Upstream:
    """Raises HubMisusedError, MissingExtraError."""
    from realtime_hub.library.upstreams.realtime import AsyncRealtimeClient, ClientUpstream

    found = client if isinstance(client, AsyncRealtimeClient) else getattr(client, "realtime", None)
    if not isinstance(found, AsyncRealtimeClient):
        raise HubMisusedError(
            "from_client needs supabase's AsyncClient (acreate_client) or an"
            f" AsyncRealtimeClient, not {type(client).__name__}"
        )
    return ClientUpstream(found)


def _endpoint(url: str) -> str:
    """A project's bare URL stands for its Realtime endpoint."""
    return f"{url.rstrip('/')}/realtime/v1" if urlsplit(url).path in ("", "/") else url
