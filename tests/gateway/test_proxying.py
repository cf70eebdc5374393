"""The proxy between a real client and a real upstream, both aiohttp's."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator

import aiohttp
import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from realtime_hub.compose import Service
from realtime_hub.errors import SettingsError
from realtime_hub.gateway.proxying import Proxy
from realtime_hub.settings import Settings
from tests.support.tokens import SECRET

LARGE = 3_000_000


async def echo(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "headers": {k.lower(): v for k, v in request.headers.items()},
            "bytes": len(body),
        },
        status=207,
        headers={"X-Project": "yes", "Set-Cookie": "a=b"},
    )


async def packed(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"hola"), headers={"Content-Encoding": "gzip"})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first")
    await asyncio.Event().wait()  # the rest never comes
    return response


async def moved(_: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(protocols=("chat",))
    await ws.prepare(request)
    async for message in ws:
        if message.data == "bye":
            await ws.close(code=4001)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)
    return ws


@pytest.fixture
async def url() -> AsyncIterator[str]:
    project = web.Application(client_max_size=LARGE * 2)
    project.router.add_get("/packed", packed)
    project.router.add_get("/stream", stream)
    project.router.add_get("/moved", moved)
    project.router.add_get("/ws", socket)
    project.router.add_route("*", "/{path:.*}", echo)
    upstream = TestServer(project)
    await upstream.start_server()
    proxy = Proxy(str(upstream.make_url("")))
    front = web.Application()
    front.router.add_get("/realtime/v1/here", packed)
    front.add_routes(proxy.routes())
    server = TestServer(front)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await proxy.aclose()
    await server.close()
    await upstream.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


async def test_a_request_passes_as_it_is(url: str, client: aiohttp.ClientSession) -> None:
    async with client.patch(
        URL(f"{url}/rest/v1/t?id=eq.1&x=%2F", encoded=True),
        data=io.BytesIO(b"x" * LARGE),
        headers={"apikey": "k", "Connection": "X-Odd", "X-Odd": "1", "X-Forwarded-For": "6.6.6.6"},
    ) as answer:
        assert (answer.status, answer.headers["X-Project"]) == (207, "yes")
        assert answer.headers["Set-Cookie"] == "a=b"
        seen = await answer.json()
    assert (seen["method"], seen["path"], seen["bytes"]) == (
        "PATCH",
        "/rest/v1/t?id=eq.1&x=%2F",
        LARGE,
    )
    assert seen["headers"]["apikey"] == "k"
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert "x-odd" not in seen["headers"]


async def test_encodings_and_redirects_are_left_to_the_client(
    url: str, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{url}/packed") as answer:
        assert gzip.decompress(await answer.read()) == b"hola"
    async with client.get(f"{url}/moved", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


async def test_a_body_goes_on_as_it_comes(url: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{url}/stream") as answer:
        assert await answer.content.readany() == b"first"


async def test_realtime_is_never_the_project_s(url: str, client: aiohttp.ClientSession) -> None:
    for path, status in (
        ("/realtime/v1/here", 200),
        ("/realtime/v1/x", 404),
        ("/realtime/v1", 404),
    ):
        async with client.get(url + path) as answer:
            assert answer.status == status


async def test_web_sockets_pass_both_ways_with_protocol_and_close_code(
    url: str, client: aiohttp.ClientSession
) -> None:
    async with client.ws_connect(f"{url}/ws", protocols=("chat",)) as ws:
        assert ws.protocol == "chat"
        await ws.send_str("hola")
        assert (await ws.receive()).data == "hola"
        await ws.send_bytes(b"\x00\xff")
        assert (await ws.receive()).data == b"\x00\xff"
        await ws.send_str("bye")
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 4001


async def test_a_project_that_is_away_is_a_bad_gateway(client: aiohttp.ClientSession) -> None:
    proxy, front = Proxy("http://127.0.0.1:1"), web.Application()
    front.add_routes(proxy.routes())
    server = TestServer(front)
    await server.start_server()
    try:
        async with client.get(server.make_url("/rest/v1/")) as answer:
            assert answer.status == 502
            assert "127.0.0.1" not in await answer.text()
    finally:
        await proxy.aclose()
        await server.close()


@pytest.mark.parametrize("target", ["", "db.example.com", "ftp://x", "https://x/path", "https://"])
def test_what_is_no_address_of_a_project_is_refused(target: str) -> None:
    with pytest.raises(SettingsError):
        Proxy(target)


async def test_a_gateway_passes_on_what_is_not_its_own_and_ends_with_sockets_open(
    database: str, client: aiohttp.ClientSession
) -> None:
    project = web.Application()
    project.router.add_get("/ws", socket)
    project.router.add_route("*", "/{path:.*}", echo)
    upstream = TestServer(project)
    await upstream.start_server()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("create publication supabase_realtime")
    service = Service(
        Settings.load(
            database_url=database,
            jwt_secret=SECRET,
            log="memory",
            port=0,
            slot="of_the_proxy",
            proxy_to=str(upstream.make_url("")),
        )
    )
    await service.start()
    try:
        url = f"http://127.0.0.1:{service.port}"
        async with client.get(f"{url}/rest/v1/t") as answer:
            assert (answer.status, (await answer.json())["path"]) == (207, "/rest/v1/t")
        for path, status in (("/healthz", 200), ("/realtime/v1/api/stats", 401)):
            async with client.get(url + path) as answer:
                assert answer.status == status
        async with client.ws_connect(f"{url}/ws") as ws:
            await ws.send_str("hola")
            assert (await ws.receive()).data == "hola"
            async with asyncio.timeout(20):
                await service.stop()
    finally:
        await service.stop()
        await upstream.close()
