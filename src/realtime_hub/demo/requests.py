"""Requests that anybody may write, checked, and the answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import orjson
from aiohttp import web

MAX_BODY: Final = 4_096


class ApiError(Exception):
    """Becomes an answer with this status, a stable code, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def answer(document: object, *, status: int = 200) -> web.Response:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return web.Response(body=body, status=status, content_type="application/json")


def refusal(error: ApiError) -> web.Response:
    # Two spellings: Auth clients read error_code and msg.
    said = {"code": error.code, "message": str(error)}
    return answer(said | {"error_code": error.code, "msg": str(error)}, status=error.status)


async def body_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object of a request's body."""
    if request.content_length is None or request.content_length > MAX_BODY:
        raise ApiError(413, "TooLarge", f"send at most {MAX_BODY} bytes, and say how many")
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise ApiError(400, "InvalidRequest", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise ApiError(400, "InvalidRequest", "the body is not a JSON object")
    return body


def text_of(body: Mapping[str, Any], name: str, longest: int) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ApiError(400, "InvalidRequest", f"{name}: a text of 1 to {longest} characters")
    if "\0" in value:
        raise ApiError(400, "InvalidRequest", f"{name}: a text without U+0000")
    return value


def one_of(body: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = body.get(name)
    if value not in allowed:
        raise ApiError(400, "InvalidRequest", f"{name}: one of {', '.join(allowed)}")
    return str(value)


def number_of(body: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = body.get(name)
    # JSON's true is an int to Python.
    if type(value) is not int or not least <= value <= most:
        raise ApiError(400, "InvalidRequest", f"{name}: a whole number from {least} to {most}")
    return value


def flag_of(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise ApiError(400, "InvalidRequest", f"{name}: true or false")
    return value


def bigint_in(request: web.Request, name: str) -> int:
    """A part of the path that is a key of type bigint."""
    text = request.match_info[name]
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ApiError(400, "InvalidRequest", f"{name}: a whole number")
    return int(text)


def uuid_in(request: web.Request, name: str) -> UUID:
    """A part of the path that is a key of type uuid."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise ApiError(400, "InvalidRequest", f"{name}: a UUID") from None
