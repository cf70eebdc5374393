from __future__ import annotations

import pytest

from realtime_hub.cli.logs import redact_secrets, redacted
from tests.support.tokens import make_token


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"apikey={make_token()}&vsn=2", "apikey=<token>&vsn=2"),
        ("postgresql://me:pa$$@db:5432/x", "postgresql://me:<password>@db:5432/x"),
        ("host=db password='se cret' user=me", "host=db password=<password> user=me"),
        ("key sb_secret_abc-123 refused", "key sb_secret_<key> refused"),
        ("postgresql://me@db/x", "postgresql://me@db/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_in_text_are_replaced(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_secrets_inside_containers_are_replaced_and_other_values_stay() -> None:
    event = {"urls": ["x://a:b@c"], "deep": {"token": make_token()}, "count": 3, "none": None}
    assert redact_secrets(None, "info", event) == {
        "urls": ["x://a:<password>@c"],
        "deep": {"token": "<token>"},
        "count": 3,
        "none": None,
    }
