"""Handshakes with tokens, versions and origins that do not hold."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest

from tests.badinput.conftest import ANON
from tests.badinput.rawsocket import Answer, RawSocket
from tests.support.client import RealtimeClient
from tests.support.stand import Stand
from tests.support.tokens import SECRET, make_token, sign

pytestmark = pytest.mark.postgres

HOUR = 3600
HEADER = {"alg": "HS256", "typ": "JWT"}


async def _handshake(stand: Stand, token: str | None, *, vsn: str = "2.0.0") -> Answer:
    async with await RawSocket.open(stand.url) as raw:
        return await raw.handshake(token, vsn=vsn)


def _claims(**claims: object) -> dict[str, object]:
    return {"role": "anon", "exp": int(time.time()) + HOUR, **claims}


def _without(*names: str) -> dict[str, object]:
    return {name: value for name, value in _claims().items() if name not in names}


def _forged(header: dict[str, object]) -> str:
    """A token with this header, signed with a key of the attacker's."""
    return make_token("service_role", secret="the key that travels in the header", header=header)


KEY_OF_THE_ATTACKER = {
    "kty": "oct",
    "k": base64.urlsafe_b64encode(b"the key that travels in the header").decode().rstrip("="),
}

MALFORMED = "The token provided is not a valid JWT"
SIGNATURE = "Failed to validate JWT signature"
CLAIMS = "Fields `role` and `exp` are required in JWT"
EXPIRED = "Token has expired"

REFUSED = {
    "none": (None, "API key is missing"),
    "empty": ("", "API key is missing"),
    "not a token": ("hello", MALFORMED),
    "two parts": ("a.b", MALFORMED),
    "not base64": ("!!.??.@@", MALFORMED),
    "signed with another secret": (make_token("anon", secret="x" * 40), SIGNATURE),
    "signature cut": (ANON[:-4], SIGNATURE),
    "alg none": (sign(_claims(), header={"alg": "none"}), None),
    "alg none in capitals": (sign(_claims(), header={"alg": "NONE"}), None),
    "no alg": (sign(_claims(), header={"typ": "JWT"}), None),
    "alg of another family": (sign(_claims(), header={"alg": "RS256"}), None),
    "jwk in the header": (_forged({**HEADER, "jwk": KEY_OF_THE_ATTACKER}), SIGNATURE),
    "jku in the header": (_forged({**HEADER, "jku": "http://127.0.0.1:9/keys"}), SIGNATURE),
    "x5u in the header": (_forged({**HEADER, "x5u": "http://127.0.0.1:9/cert"}), SIGNATURE),
    "kid that is a path": (_forged({**HEADER, "kid": "../../../dev/null"}), None),
    "kid that is SQL": (_forged({**HEADER, "kid": "' or 1=1 --"}), None),
    "unknown crit": (sign(_claims(), header={**HEADER, "crit": ["x"], "x": 1}), None),
    "no exp": (sign(_without("exp")), CLAIMS),
    "no role": (sign(_without("role")), CLAIMS),
    "exp as text": (sign(_claims(exp="tomorrow")), None),
    "exp null": (sign(_claims(exp=None)), CLAIMS),
    "exp negative": (sign(_claims(exp=-1)), None),
    "exp past": (sign(_claims(exp=int(time.time()) - HOUR)), EXPIRED),
    "exp infinite": (sign(b'{"role":"anon","exp":1e999}'), None),
    "exp not a number": (sign(b'{"role":"anon","exp":NaN}'), None),
    "nbf ahead": (sign(_claims(nbf=int(time.time()) + HOUR)), None),
    "role a number": (sign(_claims(role=5)), None),
    "role a list": (sign(_claims(role=["anon"])), None),
    "role empty": (sign(_claims(role="")), None),
    "claims a list": (sign(b"[1,2]"), None),
    "claims not JSON": (sign(b"{"), None),
    "claims a thousand levels deep": (
        sign(b'{"role":"anon","exp":9999999999,"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_that_does_not_hold_is_refused_in_words(stand: Stand, name: str) -> None:
    token, reason = REFUSED[name]
    answer = await _handshake(stand, token)
    assert answer.status == 401
    error = json.loads(answer.body)["error"]
    assert error == reason or (reason is None and error)
    if token:
        assert token not in answer.body.decode()


ACCEPTED = {
    "exp a float": sign(_claims(exp=time.time() + HOUR)),
    "exp far ahead": sign(_claims(exp=99_999_999_999)),
    "iss and aud, which nobody asked to check": sign(_claims(iss="x", aud=["y"])),
    "a kid beside a good signature": sign(_claims(), header={**HEADER, "kid": "abc"}),
    "claims of several kilobytes": sign(_claims(app_metadata={"x": "y" * 8000})),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_an_odd_token_that_holds_is_accepted(stand: Stand, name: str) -> None:
    assert (await _handshake(stand, ACCEPTED[name])).status == 101


async def test_a_token_of_a_megabyte_is_refused_before_it_is_read(stand: Stand) -> None:
    token = sign(_claims(app_metadata={"x": "y" * 1_000_000}))
    answer = await _handshake(stand, token)
    assert answer.status in (400, 414, 431)


@pytest.mark.parametrize("vsn", ["3.0.0", "1", "2.0", "", "2.0.0\x00", "../"])
async def test_an_unknown_version_is_refused_in_words(stand: Stand, vsn: str) -> None:
    answer = await _handshake(stand, ANON, vsn=vsn)
    assert answer.status == 403
    assert "vsn" in json.loads(answer.body)["error"]


async def test_a_header_key_counts_before_the_one_in_the_address(stand: Stand) -> None:
    async with await RawSocket.open(stand.url) as raw:
        answer = await raw.handshake(ANON, headers={"x-api-key": "not a token"})
    assert answer.status == 401


async def test_a_request_that_is_no_websocket_is_told_so(stand: Stand) -> None:
    async with await RawSocket.open(stand.url) as raw:
        answer = await raw.handshake(ANON, headers={"Upgrade": "h2c"})
    assert answer.status == 426


@pytest.mark.parametrize(
    "role",
    [
        "no_existe",
        '"anon"',
        "anon; drop table llamada",
        "postgres",
    ],
)
async def test_a_role_that_may_not_listen_is_refused_in_words(stand: Stand, role: str) -> None:
    token = make_token(role)
    async with await RealtimeClient.connect(stand.url, token) as client:
        binding = {"event": "*", "schema": "public", "table": "llamada"}
        channel = await client.join("room", [binding], access_token=token)
        if channel.joined:
            await channel.wait(lambda frame: frame.event == "system")
            assert channel.systems[0]["status"] == "error"


async def test_a_join_with_a_bad_token_is_refused_and_the_connection_stays(
    stand: Stand, client: RealtimeClient
) -> None:
    bad = make_token("anon", secret="y" * 40)
    channel = await client.join("room", access_token=bad)
    assert not channel.joined
    assert channel.reason == f"JwtSignatureError: {SIGNATURE}"
    again = await client.join("room", access_token=ANON)
    assert again.joined


async def test_a_bad_token_pushed_later_ends_that_channel_alone(
    stand: Stand, client: RealtimeClient
) -> None:
    doomed, other = await client.join("doomed"), await client.join("other")
    await doomed.push("access_token", {"access_token": make_token("anon", secret="y" * 40)})
    await doomed.wait(lambda frame: frame.event == "phx_close")
    assert (await client.heartbeat()).payload["status"] == "ok"
    assert not [frame for frame in other.frames if frame.event == "phx_close"]


async def test_a_channel_ends_in_words_when_its_token_expires(
    stand: Stand, client: RealtimeClient
) -> None:
    brief = make_token("anon", lifetime=2)
    channel = await client.join("room", access_token=brief)
    assert channel.joined
    await channel.wait_system("error", "Token has expired")
    await channel.wait(lambda frame: frame.event == "phx_close")


async def test_no_token_and_no_secret_is_ever_logged_or_measured(stand: Stand) -> None:
    marked = make_token("anon", sub="a-sub-to-look-for")
    broken = f"{marked}x"
    async with await RealtimeClient.connect(stand.url, marked) as client:
        await client.join("room", access_token=broken)
    await _handshake(stand, broken)
    async with await RawSocket.open(stand.url) as raw:
        await raw.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        metrics = (await raw.reader.read()).decode()
    for text in (stand.gateway.log, metrics):
        assert marked.split(".")[1] not in text
        assert "a-sub-to-look-for" not in text
        assert SECRET not in text


async def test_hs256_signed_with_the_public_key_of_another_algorithm_is_refused(
    stand: Stand,
) -> None:
    """The key confusion of 2015: the secret is the only key, so no public text may sign."""
    public = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ==\n-----END PUBLIC KEY-----\n"
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (HEADER, _claims(role="service_role"))
    ]
    mac = hmac.new(public.encode(), b".".join(parts), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=")
    answer = await _handshake(stand, b".".join([*parts, signature]).decode())
    assert answer.status == 401
