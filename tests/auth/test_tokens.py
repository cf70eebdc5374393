"""Tokens that hold and tokens that don't; the list of bad ones is docs' own."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from realtime_hub.auth import keys
from realtime_hub.auth.tokens import TokenVerifier, mint
from realtime_hub.errors import (
    SettingsError,
    TokenClaimsError,
    TokenError,
    TokenExpiredError,
    TokenMalformedError,
    TokenMissingError,
    TokenSignatureError,
)
from tests.support.tokens import SECRET, sign

NOW = 1_800_000_000.0
CLAIMS = {"role": "authenticated", "exp": NOW + 60}
HS256 = {"alg": "HS256", "typ": "JWT"}

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})


def claims(**more: Any) -> dict[str, Any]:
    return CLAIMS | more


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def raw(more: str) -> bytes:
    return b'{"role":"anon","exp":1800000060,%b}' % more.encode()


async def verify(token: str, **options: Any) -> Any:
    return await TokenVerifier(**{"secret": SECRET} | options).verify(token, NOW)


# What holds


async def test_an_identity_holds_the_payload_as_it_was_signed() -> None:
    text = raw('"sub":"ana","level":1e2,"big":123456789012345678901234567890')
    found = await verify(sign(text))
    assert (found.role, found.subject, found.expires_at) == ("anon", "ana", 1_800_000_060)
    assert found.claims == text.decode()
    assert "ana" not in repr(found).replace("subject='ana'", "")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_hmac_tokens_hold(algorithm: str) -> None:
    token = jwt.encode({"alg": algorithm}, claims(), OctKey.import_key(SECRET), [algorithm])
    assert (await verify(token)).role == "authenticated"


async def test_a_minted_token_holds() -> None:
    token = mint(SECRET, role="anon", subject="ana", expires_in=60, email="a@b.c")
    found = await TokenVerifier(secret=SECRET).verify(token, 0)
    assert (found.role, found.subject) == ("anon", "ana")
    assert json.loads(found.claims)["email"] == "a@b.c"


async def test_an_opaque_key_stands_for_its_role() -> None:
    found = await verify("sb_secret_x", api_keys={"sb_secret_x": "service_role"})
    assert (found.role, json.loads(found.claims)) == ("service_role", {"role": "service_role"})
    with pytest.raises(TokenError):
        await verify("sb_secret_y", api_keys={"sb_secret_x": "service_role"})


async def test_leeway_is_given_to_both_ends() -> None:
    assert await verify(sign(claims(exp=NOW - 3, nbf=NOW + 3)), leeway=5)
    with pytest.raises(TokenExpiredError) as raised:
        await verify(sign(claims(exp=NOW - 7)), leeway=5)
    assert str(raised.value) == "Token has expired 7 seconds ago"


async def test_issuer_and_audience_are_required_where_they_are_set() -> None:
    token = sign(claims(iss="me", aud=["x", "us"]))
    assert await verify(token, issuer="me", audience="us")
    assert await verify(sign(claims(iss="anybody")))
    for options in ({"issuer": "you"}, {"audience": "them"}):
        with pytest.raises(TokenClaimsError):
            await verify(token, **options)
    with pytest.raises(TokenClaimsError):
        await verify(sign(claims()), audience="us")


# What does not

REFUSED: dict[str, tuple[str, type[TokenError]]] = {
    "none at all": ("", TokenMissingError),
    "not a token": ("hello", TokenMalformedError),
    "two parts": ("a.b", TokenMalformedError),
    "four parts": (sign(claims()) + ".x", TokenMalformedError),
    "not base64": ("!!.??.@@", TokenMalformedError),
    "not ASCII": ("ñ.ñ.ñ", TokenMalformedError),
    "of a megabyte": (sign(claims(x="y" * 1_000_000)), TokenMalformedError),
    "another secret": (sign(claims(), secret="x" * 40), TokenSignatureError),
    "signature cut": (sign(claims())[:-3], TokenSignatureError),
    "alg none": (sign(claims(), header={"alg": "none"}), TokenSignatureError),
    "alg None": (sign(claims(), header={"alg": "None"}), TokenSignatureError),
    "alg a list": (sign(claims(), header={"alg": ["HS256"]}), TokenMalformedError),
    "alg an object": (sign(claims(), header={"alg": {}}), TokenMalformedError),
    "no alg": (sign(claims(), header={"typ": "JWT"}), TokenMalformedError),
    "alg RS256 signed with the secret": (
        sign(claims(), header={"alg": "RS256"}),
        TokenSignatureError,
    ),
    "alg unknown": (sign(claims(), header={"alg": "HS1"}), TokenSignatureError),
    "crit": (sign(claims(), header=HS256 | {"crit": ["x"], "x": 1}), TokenSignatureError),
    "b64 false": (sign(claims(), header=HS256 | {"crit": ["b64"], "b64": False}),
                  TokenSignatureError),
    "no exp": (sign(without("exp")), TokenClaimsError),
    "no role": (sign(without("role")), TokenClaimsError),
    "exp null": (sign(claims(exp=None)), TokenClaimsError),
    "exp text": (sign(claims(exp="1800000060")), TokenClaimsError),
    "exp true": (sign(claims(exp=True)), TokenClaimsError),
    "exp negative": (sign(claims(exp=-1)), TokenClaimsError),
    "exp in milliseconds": (sign(claims(exp=NOW * 1000)), TokenClaimsError),
    "exp infinite": (sign(b'{"role":"anon","exp":1e999}'), TokenError),
    "exp of 400 digits": (sign(b'{"role":"anon","exp":%b}' % (b"9" * 400)), TokenError),
    "exp of 5000 digits": (sign(b'{"role":"anon","exp":%b}' % (b"9" * 5000)), TokenError),
    "exp NaN": (sign(b'{"role":"anon","exp":NaN}'), TokenMalformedError),
    "exp now": (sign(claims(exp=NOW)), TokenExpiredError),
    "nbf ahead": (sign(claims(nbf=NOW + 1)), TokenClaimsError),
    "nbf text": (sign(claims(nbf="x")), TokenClaimsError),
    "role a number": (sign(claims(role=5)), TokenClaimsError),
    "role a list": (sign(claims(role=["anon"])), TokenClaimsError),
    "role null": (sign(claims(role=None)), TokenClaimsError),
    "role empty": (sign(claims(role="")), TokenClaimsError),
    "role with NUL": (sign(claims(role="anon\0")), TokenMalformedError),
    "role twice": (sign(raw('"role":"service_role"')), TokenMalformedError),
    "a nested name twice": (sign(raw('"a":{"b":1,"b":2}')), TokenMalformedError),
    "NUL in a claim": (sign(raw(r'"sub":"a\u0000b"')), TokenMalformedError),
    "NUL in a name": (sign(raw(r'"a":[{"\u0000":1}]')), TokenMalformedError),
    "half a character": (sign(raw(r'"sub":"\ud800"')), TokenMalformedError),
    "not UTF-8": (sign(b'{"role":"anon","exp":1800000060,"a":"\xff"}'), TokenMalformedError),
    "a list": (sign(b"[1]"), TokenMalformedError),
    "a number": (sign(b"1"), TokenMalformedError),
    "empty": (sign(b""), TokenError),
    "not JSON": (sign(b"{"), TokenMalformedError),
    "deep": (sign(raw('"a":' + "[" * 33 + "]" * 33)), TokenMalformedError),
    "a thousand levels deep": (sign(raw('"a":' + "[" * 5000 + "]" * 5000)), TokenMalformedError),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_a_bad_token_is_refused_in_words_that_do_not_hold_it(what: str) -> None:
    token, kind = REFUSED[what]
    with pytest.raises(kind) as raised:
        await verify(token)
    said = f"{raised.value!s} {raised.value!r} {raised.value.__cause__}"
    assert not any(part and part in said for part in token.split(".") if len(part) > 8)


ATTACKER = {"kty": "oct", "k": base64.urlsafe_b64encode(b"attacker" * 5).decode().rstrip("=")}


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": ATTACKER},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"x5c": ["MIIB"]},
        {"kid": "../../../dev/null"},
        {"kid": "' or 1=1 --"},
        {"kid": 5},
        {"kid": ""},
    ],
)
async def test_a_header_can_not_bring_its_own_key(header: dict[str, Any], tmp_path: Path) -> None:
    jwks = key_set(tmp_path, RSA)
    forged = sign(claims(), secret="attacker" * 5, header=HS256 | header)
    with pytest.raises(TokenError):
        await verify(forged, jwks=jwks)


# Key sets


def key_set(directory: Path, *made: RSAKey | ECKey | OKPKey | OctKey, extra: Any = ()) -> str:
    path = directory / "jwks.json"
    entries = [key.as_dict(private=isinstance(key, OctKey)) for key in made]
    path.write_text(json.dumps({"keys": [*extra, *entries]}))
    return str(path)


def signed(key: Any, algorithm: str, **header: Any) -> str:
    given = {"alg": algorithm, "kid": key.kid} | header
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.encode(given, claims(), key, algorithms=[algorithm])


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (EC, "ES256"), (ED, "Ed25519"), (ED, "EdDSA")],
)
async def test_tokens_of_a_key_set_hold(key: Any, algorithm: str, tmp_path: Path) -> None:
    unusable = [{"kty": "weird", "kid": "w"}, "no key", {"kty": "RSA", "kid": "rsa2"}, None]
    jwks = key_set(tmp_path, RSA, EC, ED, extra=unusable)
    assert (await verify(signed(key, algorithm), jwks=jwks)).role == "authenticated"


async def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    jwks = key_set(tmp_path, RSA)
    for secret in (RSA.as_pem(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        forged = sign(claims(), secret=secret.decode(), header=HS256 | {"kid": "rsa"})
        with pytest.raises(TokenSignatureError):
            await verify(forged, jwks=jwks, secret=None)


async def test_a_key_verifies_only_algorithms_of_its_own_kind(tmp_path: Path) -> None:
    jwks = key_set(tmp_path, RSA, EC, ED)
    for header in ({"kid": "ec"}, {"kid": "ed"}, {"kid": "nobody"}):
        with pytest.raises(TokenSignatureError):
            await verify(signed(RSA, "RS256", **header), jwks=jwks, secret=None)
    other = RSAKey.generate_key(2048, {"kid": "rsa"})
    with pytest.raises(TokenSignatureError):
        await verify(signed(other, "RS256"), jwks=jwks, secret=None)


async def test_a_key_for_encryption_verifies_nothing(tmp_path: Path) -> None:
    entry = RSA.as_dict(private=False) | {"use": "enc", "kid": "rsa"}
    with pytest.raises(TokenSignatureError):
        await verify(signed(RSA, "RS256"), jwks=key_set(tmp_path, extra=[entry]), secret=None)


class KeyServer:
    """A key set behind HTTP; `body` and `status` are the test's to change."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.requests = 0
        self.url = ""

    async def answer(self, _request: web.Request) -> web.Response:
        self.requests += 1
        headers = {"Location": "http://127.0.0.1:9/"} if self.status == 302 else None
        return web.Response(body=self.body, status=self.status, headers=headers)

    def serve(self, *made: Any) -> None:
        self.body = json.dumps({"keys": [key.as_dict(private=False) for key in made]}).encode()


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    made = KeyServer()
    app = web.Application()
    app.router.add_get("/jwks", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield made
    await runner.cleanup()


async def test_a_rotated_key_is_found_and_invented_ids_cost_one_request(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: clock[0])
    server.serve(RSA)
    verifier = TokenVerifier(jwks=server.url)
    assert await verifier.verify(signed(RSA, "RS256"), NOW)
    for number in range(50):
        with pytest.raises(TokenSignatureError):
            await verifier.verify(signed(RSA, "RS256", kid=f"invented-{number}"), NOW)
    assert server.requests == 1
    server.serve(RSA, EC)
    clock[0] += 11
    assert await verifier.verify(signed(EC, "ES256"), NOW)
    assert server.requests == 2
    server.serve(EC)
    clock[0] += 601
    with pytest.raises(TokenSignatureError):
        await verifier.verify(signed(RSA, "RS256"), NOW)


@pytest.mark.parametrize("trouble", ["large", "500", "302", "junk", "list", "gone"])
async def test_known_keys_go_on_to_serve_while_the_set_can_not_be_read(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: clock[0])
    server.serve(RSA)
    verifier = TokenVerifier(jwks=server.url)
    assert await verifier.verify(signed(RSA, "RS256"), NOW)
    clock[0] += 601
    if trouble == "large":
        server.body = b'{"keys":[' + b" " * 300_000 + b"]}"
    elif trouble in ("500", "302"):
        server.status = int(trouble)
    else:
        server.body = {"junk": b"<html>", "list": b"[]", "gone": b'{"keys": 5}'}[trouble]
    assert await verifier.verify(signed(RSA, "RS256"), NOW)
    assert server.requests == 2


async def test_an_unreachable_key_set_refuses(tmp_path: Path) -> None:
    for location in ("http://127.0.0.1:9/jwks", str(tmp_path / "missing"), str(tmp_path)):
        with pytest.raises(TokenSignatureError):
            await verify(signed(RSA, "RS256"), jwks=location, secret=None)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(SettingsError):
        TokenVerifier(secret="")
