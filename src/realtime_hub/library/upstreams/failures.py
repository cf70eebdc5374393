"""What the official `realtime` client reports, as this package's errors."""

from __future__ import annotations

from typing import Final

import orjson
from realtime.types import RealtimeSubscribeStates

from realtime_hub.errors import (
    FilterSyntaxError,
    FilterValueError,
    RealtimeHubError,
    SelectError,
    SubscriptionError,
    TableNotPublishedError,
    TokenError,
    UpstreamError,
)

_REFUSED: Final = ("Unable to subscribe to changes", "Error parsing `filter` params")
_TOKEN_CODES: Final = ("Unauthorized", "InvalidJWTToken", "MalformedJWT", "Jwt", "InvalidToken")
_REFUSALS: Final = {
    error.code: error
    for error in (TableNotPublishedError, FilterSyntaxError, FilterValueError, SelectError)
}


def failure(state: RealtimeSubscribeStates, error: Exception | None) -> RealtimeHubError:
    """What a channel's state means; the client wraps the server's payload in an exception."""
    if state is RealtimeSubscribeStates.TIMED_OUT:
        return UpstreamError("the server did not answer the join in time")
    if state is RealtimeSubscribeStates.CLOSED or error is None:
        return UpstreamError("the server closed the channel")
    try:
        payload = orjson.loads(str(error))
    except orjson.JSONDecodeError:
        return UpstreamError(str(error) or "the connection was lost")
    return _refusal(str(payload.get("message") or payload.get("reason") or "channel error"))


def connection_error(error: Exception) -> RealtimeHubError:
    """Of a failed handshake; websockets' errors never quote the URL's query."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return TokenError(f"the server refused the connection (HTTP {status}): check api_key")
    return UpstreamError(f"no connection to the Realtime server: {error}")


def _refusal(text: str) -> RealtimeHubError:
    if text.startswith(_REFUSED):
        for code, error in _REFUSALS.items():
            _, found, reason = text.partition(f" {code}: ")
            if found:
                return error(reason)
        return SubscriptionError(text)
    if text.startswith(_TOKEN_CODES):
        return TokenError(text)
    return UpstreamError(text)
