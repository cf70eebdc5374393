"""What a running gateway says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from realtime_hub.errors import SettingsError, SourceError

_SECONDS: Final = 10


async def statistics(url: str, token: str | None) -> Mapping[str, Any]:
    """`/api/stats` of the gateway at this address.

    Raises:
        SettingsError: no token, or one that the gateway refuses.
        SourceError: it does not answer, or with something else.
    """
    if not token:
        raise SettingsError("the gateway's statistics need a token (REALTIME_HUB_GATEWAY_TOKEN)")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_SECONDS)) as session,
            session.get(
                url.rstrip("/") + "/api/stats", headers={"Authorization": f"Bearer {token}"}
            ) as answer,
        ):
            if answer.status in (401, 403):
                raise SettingsError("the gateway refuses the token: it must be of service_role")
            answer.raise_for_status()
            document = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise SourceError(f"the gateway gives no statistics: {type(error).__name__}") from None
    if not isinstance(document, Mapping):
        raise SourceError("the gateway's statistics are no JSON object")
    return document
