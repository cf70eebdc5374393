"""A real Prometheus with the files under deploy/, reading a real gateway."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.docs.test_deploy import ALERTS, DASHBOARD, rules
from tests.support.client import RealtimeClient
from tests.support.inprocess import serving
from tests.support.ports import free_port
from tests.support.postgres import Server
from tests.support.programs import PATIENCE, program
from tests.support.tokens import make_token

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed"),
]
QUIET = {
    # Only where something went wrong, or a limit is set, is there a series.
    "Errors by code",
    "Slot warnings",
}
NO_LIMIT = "realtime_hub_slot_wal_limit_bytes"


class Prometheus:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"{self._url}/api/v1/{path}", params=parameters) as answer:
            found = await answer.json()
            assert found["status"] == "success", (parameters, found)
            return found["data"]

    async def series(self, expression: str) -> list[Any]:
        found: list[Any] = (await self.ask("query", query=expression))["result"]
        return found

    async def until(self, expression: str) -> None:
        """Wait until it has a value."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if await self.series(expression):
                    return
                await asyncio.sleep(0.1)


@asynccontextmanager
async def prometheus(gateway: str) -> AsyncIterator[Prometheus]:
    """One that reads this gateway every second."""
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="realtime-hub-prometheus-") as home:
        command = (
            *("prometheus", f"--config.file={configuration(home, gateway)}"),
            *(f"--storage.tsdb.path={home}/data", f"--web.listen-address={url[7:]}"),
        )
        async with (
            program(*command, url=f"{url}/-/ready", home=home),
            aiohttp.ClientSession() as session,
        ):
            yield Prometheus(url, session)


def configuration(home: str, gateway: str) -> Path:
    job = {
        "job_name": "realtime-hub",
        "static_configs": [{"targets": [gateway.removeprefix("http://")]}],
    }
    file = Path(home, "prometheus.yml")
    document = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [job],
    }
    file.write_text(json.dumps(document))  # JSON is YAML
    return file


def panels() -> list[tuple[str, str]]:
    """Title and expression of all that the dashboard shows, with its variables filled in."""
    return [
        (
            panel["title"],
            target["expr"].replace("$instance", ".+").replace("$__rate_interval", "1m"),
        )
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    ]


async def test_every_panel_has_something_to_show_and_every_alert_is_loaded(
    postgres: Server, database: str
) -> None:
    postgres.execute(
        database,
        "create table calls (id bigint primary key generated always as identity);"
        "grant select on calls to anon; create publication supabase_realtime for table calls",
    )
    watch = {"event": "*", "schema": "public", "table": "calls"}
    async with serving(database) as gateway, prometheus(gateway) as server:
        async with await RealtimeClient.connect(gateway, make_token("anon")) as client:
            channel = await client.join("room", [watch])
            postgres.execute(database, "insert into calls default values")
            await channel.wait_changes(1)
            # Two samples make a rate.
            await server.until("rate(realtime_hub_table_changes_total[1m]) >= 0")
            await server.until("realtime_hub_slot_lag_bytes")
            shown = {(title, each): await server.series(each) for title, each in panels()}
        empty = {
            title for (title, each), found in shown.items() if not found and NO_LIMIT not in each
        }
        assert empty <= QUIET
        (group,) = (await server.ask("rules"))["groups"]
        assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in rules()]
        assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
