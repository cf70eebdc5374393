"""What the console's endpoints answer, and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime_hub.console import routes
from tests.console.conftest import CONSOLE_TOKEN, SERVICE, Stand
from tests.support.client import RealtimeClient
from tests.support.tokens import make_token

PATHS = ("figures", "metrics", "channels", "audit")
COUNTED = "realtime_hub_table_changes_total"
PAGE = Path(routes.__file__).parent / "page"


@pytest.mark.parametrize("path", PATHS)
async def test_only_the_service_role_and_the_console_token_are_told(
    stand: Stand, path: str
) -> None:
    tokens = {
        None: 401,
        "": 401,
        "nonsense": 401,
        CONSOLE_TOKEN[:-1]: 401,
        make_token("authenticated", "a"): 403,
        make_token("service_role", lifetime=-5): 401,
        SERVICE: 200,
        CONSOLE_TOKEN: 200,
    }
    answers = {token: (await stand.ask(path, token))[0] for token in tokens}
    assert answers == tokens


async def test_nothing_but_reading_is_served(stand: Stand) -> None:
    headers = {"Authorization": f"Bearer {CONSOLE_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in PATHS:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                async with session.request(method, f"{stand.url}/console/api/{path}") as answer:
                    assert answer.status == 405


async def test_the_page_holds_no_data_and_forbids_what_is_not_its_own(stand: Stand) -> None:
    async with aiohttp.ClientSession() as session:
        for file in PAGE.iterdir():
            name = "" if file.name == "index.html" else file.name
            async with session.get(f"{stand.url}/console/{name}") as answer:
                assert answer.status == 200
                assert await answer.read() == file.read_bytes()
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
        async with session.get(f"{stand.url}/console", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "console/")


async def test_figures_are_the_metrics_under_their_own_names(stand: Stand) -> None:
    stand.write("insert into calls (note) select 'x' from generate_series(1, 7)")
    stand.write("insert into chats (note) values ('x'), ('y')")
    expected = {"public.calls": 7, "public.chats": 2}
    await until(stand, lambda metrics: metrics.get(COUNTED) == expected)
    scraped, figures = await stand.scrape(), (await stand.read("figures"))["metrics"]
    moving = ("process_", "realtime_hub_received_lsn", "realtime_hub_slot", "realtime_hub_conf")
    compared = 0
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            if sample.name.startswith(moving):
                continue
            found = figures[sample.name]
            label = "/".join(sample.labels.values())
            assert (found[label] if label else found) == sample.value, sample
            compared += 1
    assert compared > 60


async def test_the_slot_is_read_from_postgres(stand: Stand) -> None:
    metrics = await until(stand, lambda metrics: "realtime_hub_slot_active" in metrics)
    assert metrics["realtime_hub_slot_retained_wal_bytes"] >= 0
    assert metrics["realtime_hub_slot_wal_status"]["reserved"] == 1
    assert metrics["realtime_hub_slot_warning"]["unlimited"] == 1
    assert "realtime_hub_slot_safe_wal_bytes" not in metrics


async def test_bindings_that_a_connection_asks_for_twice_are_marked(stand: Stand) -> None:
    token = make_token("watcher", "ana")
    calls = {"event": "*", "schema": "public", "table": "calls"}
    one = {**calls, "filter": "id=eq.1"}
    async with await RealtimeClient.connect(stand.url, token) as client:
        await client.join("a", [calls])
        await client.join("b", [calls, one])
        await client.join("c", [{**calls, "table": "chats"}])
        found = await stand.read("channels")
    (user,) = found["users"]
    assert (user["role"], user["subject"], user["channels"]) == ("watcher", "ana", 3)
    assert {each["table"]: (each["bindings"], each["duplicates"]) for each in user["tables"]} == {
        "public.calls": (3, 1),
        "public.chats": (1, 0),
    }
    assert found["duplicates"] == 1
    assert {each["topic"] for each in found["topics"]} == {"realtime:a", "realtime:b", "realtime:c"}
    assert sum(each["connections"] for each in found["depths"]) == found["connections"] == 1


async def test_the_audit_names_what_is_wrong_with_the_database(stand: Stand) -> None:
    stand.write("create table nobody_listens (id int primary key)")
    stand.write("alter publication supabase_realtime add table nobody_listens")
    findings = (await stand.read("audit"))["findings"]
    assert "RH401" in {each["rule"] for each in findings}
    unheard = [each["text"] for each in findings if each["rule"] == "RH101"]
    assert any("nobody_listens" in text for text in unheard)


async def until(stand: Stand, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first figures of which it holds."""
    async with asyncio.timeout(20):
        while True:
            metrics: dict[str, Any] = (await stand.read("figures"))["metrics"]
            if holds(metrics):
                return metrics
            await asyncio.sleep(0.05)
