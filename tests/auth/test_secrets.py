"""Secrets are told by nothing; what the whole suite writes is looked through for them."""

from __future__ import annotations

import time

import pytest

from realtime_hub.auth.tokens import TokenVerifier
from realtime_hub.errors import RealtimeHubError
from realtime_hub.settings import Settings
from tests.support.secrets import found_in
from tests.support.tokens import SECRET, make_token

KEY = "sb_secret_of_the_tests"
URL = "postgresql://hub:of-the-hub@127.0.0.1/postgres"


@pytest.mark.parametrize(
    "text", [SECRET, make_token(), URL, "host=x password=of-the-hub", f"apikey={KEY}"]
)
def test_every_kind_of_secret_is_found(text: str) -> None:
    assert found_in(f"some words, {text}, and others", [KEY])


@pytest.mark.parametrize("text", ["postgresql://hub@host/db", "postgresql://u:***@h/db", "eyJ.eyJ"])
def test_what_holds_none_is_let_be(text: str) -> None:
    assert not found_in(text, [KEY])


def test_settings_do_not_show_their_secrets() -> None:
    settings = Settings.load(database_url=URL, jwt_secret=SECRET, api_keys={KEY: "service_role"})
    for shown in (repr(settings), str(settings)):
        assert not found_in(shown, [KEY, "of-the-hub"])


async def test_neither_verifiers_nor_refusals_nor_identities_show_a_token() -> None:
    now = time.time()
    verifier = TokenVerifier(secret=SECRET, api_keys={KEY: "service_role"})
    shown = [repr(verifier), repr(await verifier.verify(make_token(sub="x"), now))]
    shown.append(repr(await verifier.verify(KEY, now)))
    for refused in (make_token(secret="of another, also long enough for hs256"), KEY + "x"):
        with pytest.raises(RealtimeHubError) as error:
            await verifier.verify(refused, now)
        assert refused not in repr(error.value)
        shown += [repr(error.value), str(error.value)]
    assert not found_in("\n".join(shown), [KEY])
