"""The reverse proxies of the how-to, as they stand there, between real clients and a gateway."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime_hub.gateway import sse
from realtime_hub.gateway.http import API_PREFIXES, SOCKET_PATHS
from tests.support.client import RealtimeClient
from tests.support.gateway import PUBLICATION
from tests.support.inprocess import serving
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.tokens import make_token

pytestmark = pytest.mark.postgres

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "proxy.md"
ANON = make_token("anon")
WATCH = {"event": "*", "schema": "public", "table": "llamada"}


def snippet(language: str, gateway: str, project: str) -> str:
    """The page's block, with the addresses of this test in place of the page's."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    text = found[1].replace("127.0.0.1:4000", gateway.removeprefix("http://"))
    assert "https://PROJECT.supabase.co" in text
    return text.replace("https://PROJECT.supabase.co", project)


def nginx(home: Path, port: int, gateway: str, project: str) -> list[str]:
    block = snippet("nginx", gateway, project)
    block = block.replace("listen 80;", f"listen 127.0.0.1:{port};")
    paths = "".join(
        f"{kind}_temp_path {home}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    home.chmod(0o755)  # its workers run as somebody else
    conf = home / "nginx.conf"
    conf.write_text(
        f"pid {home}/pid; daemon off; events {{}}\nhttp {{ access_log off; {paths}\n{block} }}"
    )
    return ["nginx", "-p", str(home), "-e", f"{home}/error.log", "-c", str(conf)]


def caddy(home: Path, port: int, gateway: str, project: str) -> list[str]:
    block = snippet("caddy", gateway, project)
    block = block.replace("app.example.com {", f"http://127.0.0.1:{port} {{")
    conf = home / "Caddyfile"
    conf.write_text(f"{{\n\tadmin off\n}}\n{block}")
    return ["caddy", "run", "--config", str(conf), "--adapter", "caddyfile"]


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"path": request.raw_path, "host": request.headers["Host"]})


@asynccontextmanager
async def project() -> AsyncIterator[str]:
    """What stands for the Supabase project."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


Command = Callable[[Path, int, str, str], list[str]]


@asynccontextmanager
async def behind(command: Command, gateway: str) -> AsyncIterator[str]:
    """The proxy's own address, once it answers."""
    if shutil.which(command.__name__) is None:
        pytest.skip(f"{command.__name__} is not installed (a Debian package has it)")
    port = free_port()
    async with project() as upstream:
        with tempfile.TemporaryDirectory(prefix="realtime-hub-proxy-") as home:
            arguments = command(Path(home), port, gateway, upstream)
            url = f"http://127.0.0.1:{port}"
            async with program(*arguments, url=f"{url}/", home=home):
                yield url


@pytest.mark.parametrize("command", [nginx, caddy], ids=lambda command: command.__name__)
async def test_one_address_serves_realtime_and_the_project(database: str, command: Command) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("create table llamada(id int primary key)")
        conn.execute("grant select on llamada to anon")
        conn.execute(f"create publication {PUBLICATION} for table llamada".encode())
        async with serving(database) as gateway, behind(command, gateway) as url:
            async with await RealtimeClient.connect(url, ANON) as client:
                channel = await client.join("room", [WATCH])
                conn.execute("insert into llamada values (1)")
                (change,) = await channel.wait_changes(1)
                assert change["data"]["record"] == {"id": 1}
            async with aiohttp.ClientSession() as session:
                query = {"table": "llamada", "apikey": ANON}
                async with session.get(f"{url}/realtime/v1/sse", params=query) as stream:
                    assert await stream.content.readline() == b"event: ready\n"
                    conn.execute("insert into llamada values (2)")
                    async with asyncio.timeout(10):
                        while b'"id":2' not in await stream.content.readline():
                            pass
                async with session.get(f"{url}/rest/v1/llamada?select=id") as answer:
                    assert await answer.json() == {
                        "path": "/rest/v1/llamada?select=id",
                        "host": "PROJECT.supabase.co",
                    }


@pytest.mark.parametrize("path", [*SOCKET_PATHS[:1], sse.PATH, f"{API_PREFIXES[0]}/broadcast"])
def test_kong_passes_the_gateway_s_own_paths_on(path: str) -> None:
    """By the rule of `strip_path`: what matched is cut off, the rest put behind the URL."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    (service,) = yaml.safe_load(found[1])
    (route,) = service["routes"]
    (prefix,) = route["paths"]
    assert route["strip_path"]
    assert path.startswith(prefix)
    assert urlsplit(service["url"]).path + path.removeprefix(prefix) == path
