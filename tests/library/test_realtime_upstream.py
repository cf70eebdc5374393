"""A hub on a gateway, through the official client: faults, resumption, logins, other channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from realtime import AsyncRealtimeClient

from realtime_hub import Change, Gap, RealtimeHub, State
from realtime_hub.changes import TableName
from realtime_hub.errors import HubMisusedError, SubscriptionError, TokenError
from tests.library.worlds import QUICK, closed, prepare
from tests.support.inprocess import serving
from tests.support.proxy import Proxy
from tests.support.tokens import make_token
from tests.support.waiting import until


@dataclass
class Stand:
    dsn: str
    proxy: Proxy
    gaps: list[Gap] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.proxy.port}/realtime/v1"

    def write(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(statement.encode())

    def insert(self, *ids: int) -> None:
        for number in ids:
            self.write(f"insert into calls values ({number}, 'new', '')")

    @asynccontextmanager
    async def hub(self, **options: Any) -> AsyncIterator[RealtimeHub]:
        options = {"api_key": make_token("service_role"), "timing": QUICK, **options}
        async with RealtimeHub.from_url(self.url, **options) as hub:
            hub.on_gap(self.gaps.append)
            yield hub


@pytest.fixture
async def stand(database: str) -> AsyncIterator[Stand]:
    await asyncio.to_thread(prepare, database)
    async with serving(database) as url, Proxy(int(url.rpartition(":")[2])) as proxy:
        yield Stand(database, proxy)


def noting(got: list[int]) -> Callable[[Change], None]:
    return lambda change: got.append(change.row["id"])


async def test_after_a_cut_the_gateway_is_resumed_from_the_last_cursor(stand: Stand) -> None:
    got: list[int] = []
    async with stand.hub() as hub:
        await hub.subscribe("calls", "INSERT", noting(got))
        stand.insert(1, 2)
        await until(lambda: got == [1, 2])
        for number in (3, 5, 7):
            stand.proxy.cut()
            stand.insert(number, number + 1)
            await until(lambda: got[-1] == number + 1)  # noqa: B023 - awaited in the same turn
        assert got == list(range(1, 9))
        assert stand.gaps == []
        assert hub.statistics().tables["public.calls"].reconnects == 3


async def test_under_changes_and_cuts_all_is_delivered_once_or_a_gap_is_said(
    stand: Stand,
) -> None:
    got: list[int] = []
    async with stand.hub() as hub:
        await hub.subscribe("calls", "INSERT", noting(got))

        async def cut() -> None:
            for _ in range(4):
                await asyncio.sleep(0.2)
                stand.proxy.cut()

        cutting = asyncio.create_task(cut())
        for number in range(150):
            await asyncio.to_thread(stand.insert, number)
        await cutting
        await asyncio.to_thread(stand.insert, 150)
        await until(lambda: got[-1] == 150)
        assert got == sorted(set(got))
        assert stand.gaps or got == list(range(151))


async def test_where_no_cursor_was_seen_the_gap_is_said(stand: Stand) -> None:
    got: list[int] = []
    async with stand.hub() as hub:
        await hub.subscribe("calls", "INSERT", noting(got))
        stand.proxy.cut()
        await until(lambda: stand.gaps)
        assert [gap.reason for gap in stand.gaps] == ["reconnected"]
        stand.insert(1)
        await until(lambda: got == [1])


async def test_what_the_gateway_says_is_missing_is_handed_on(stand: Stand) -> None:
    """A cursor of another server is none of this one's."""
    async with stand.hub() as hub:
        got: list[int] = []
        await hub.subscribe("calls", "INSERT", noting(got))
        stand.insert(1)
        await until(lambda: got)
        channel = hub._tables.get(TableName("public", "calls"))
        assert channel is not None
        assert channel._last is not None
        channel._last = Change(channel._last.payload, position="A" * 48)
        stand.proxy.cut()
        await until(lambda: stand.gaps)
        assert stand.gaps[0].reason != "reconnected"
        assert stand.gaps[0].table == ("public", "calls")


async def test_a_loss_is_told_and_its_end(stand: Stand) -> None:
    async with stand.hub() as hub:
        states: list[State] = []
        hub.on_status(lambda status: states.append(status.state))
        await hub.subscribe("calls", "INSERT", print)
        port, stand.proxy._target = stand.proxy._target, 1
        stand.proxy.cut()
        await until(lambda: State.DISCONNECTED in states)
        assert not hub.is_connected("calls")
        stand.proxy._target = port
        await until(lambda: states[-1] is State.CONNECTED)


async def test_cleanup_leaves_no_task_and_no_socket(stand: Stand) -> None:
    before = asyncio.all_tasks()
    async with stand.hub() as hub:
        await hub.subscribe("calls", "INSERT", print)
        await hub.subscribe("notes", "*", print)
        await hub.cleanup()
        served = {task for task in asyncio.all_tasks() - before if "realtime_hub" in repr(task)}
        ours = {
            task for task in served if "library" in repr(task) or "realtime/_async" in repr(task)
        }
        assert ours == set()
        assert hub.statistics().channels == 0


async def test_a_bad_key_is_said_at_once(stand: Stand) -> None:
    async with stand.hub(api_key="nonsense") as hub:
        with pytest.raises(TokenError, match="api_key"):
            await hub.subscribe("calls", "INSERT", print)


async def test_row_level_security_holds_and_a_token_changes_who_reads(stand: Stand) -> None:
    stand.write("alter table calls enable row level security")
    stand.write("create policy mine on calls to authenticated using (state = (auth.uid())::text)")
    one, two = "0" * 8, "1" * 8
    users = [f"{digits}-0000-4000-8000-000000000000" for digits in (one, two)]
    got: list[str] = []
    token = make_token("authenticated", users[0])
    async with stand.hub(api_key=make_token("anon"), token=token) as hub:
        await hub.subscribe("calls", "INSERT", lambda change: got.append(change.new["state"]))
        for number, user in enumerate([*users, users[0]]):
            stand.write(f"insert into calls values ({number}, '{user}', '')")
        await until(lambda: len(got) == 2)
        assert got == [users[0]] * 2
        await hub.set_auth(make_token("authenticated", users[1]))
        number = 10
        while users[1] not in got:
            number += 1
            stand.write(f"insert into calls values ({number}, '{users[1]}', '')")
            await asyncio.sleep(0.05)


async def test_truncate_is_refused_in_clear_words(stand: Stand) -> None:
    async with stand.hub() as hub:
        with pytest.raises(SubscriptionError, match="TRUNCATE"):
            await hub.subscribe("calls", "TRUNCATE", print)


@dataclass
class Auth:
    """Supabase's auth client as far as it is followed (supabase-auth, `on_auth_state_change`)."""

    callbacks: list[Callable[[Any, Any], None]] = field(default_factory=list)

    def on_auth_state_change(self, callback: Callable[[Any, Any], None]) -> Any:
        self.callbacks.append(callback)
        return self

    def unsubscribe(self) -> None:
        self.callbacks.clear()

    def tell(self, event: str, token: str | None = None) -> None:
        @dataclass
        class Session:
            access_token: str | None

        for callback in tuple(self.callbacks):
            callback(event, None if token is None else Session(token))


@dataclass
class Supabase:
    """Supabase's AsyncClient as far as it is used: `realtime` is the real one."""

    realtime: AsyncRealtimeClient
    auth: Auth = field(default_factory=Auth)


@pytest.fixture
async def supabase(stand: Stand) -> AsyncIterator[Supabase]:
    client = Supabase(AsyncRealtimeClient(stand.url, make_token("service_role")))
    yield client
    await closed(client.realtime)


async def test_a_borrowed_client_keeps_its_own_channels(stand: Stand, supabase: Supabase) -> None:
    direct: list[int] = []
    got: list[int] = []
    own = supabase.realtime.channel("my own")
    own.on_postgres_changes(
        "INSERT",  # type: ignore[arg-type]
        lambda payload: direct.append(payload["data"]["record"]["id"]),
        table="calls",
    )
    await own.subscribe()
    hub = RealtimeHub.from_client(supabase, timing=QUICK)
    await hub.subscribe("calls", "INSERT", noting(got))
    stand.insert(1)
    await until(lambda: got == direct == [1])
    await hub.cleanup()
    assert list(supabase.realtime.channels) == ["realtime:my own"]
    stand.insert(2)
    await until(lambda: direct == [1, 2])
    assert got == [1]


# The client's own reconnection reads attributes that websockets has deprecated.
@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")
async def test_a_borrowed_client_that_reconnects_gets_its_channels_again(
    stand: Stand, supabase: Supabase
) -> None:
    got: list[int] = []
    gaps: list[Gap] = []
    async with RealtimeHub.from_client(supabase, timing=QUICK) as hub:
        hub.on_gap(gaps.append)
        await hub.subscribe("calls", "INSERT", noting(got))
        stand.proxy.cut()
        await until(lambda: gaps)
        stand.insert(1)
        await until(lambda: got == [1])
        assert len(supabase.realtime.channels) == 1


async def test_signing_out_cleans_up_and_refreshed_tokens_are_passed_on(
    stand: Stand, supabase: Supabase
) -> None:
    got: list[int] = []
    hub = RealtimeHub.from_client(supabase, timing=QUICK)
    hub.follow_auth(supabase)
    await hub.subscribe("calls", "INSERT", noting(got))
    token = make_token("service_role", lifetime=1800)
    supabase.auth.tell("TOKEN_REFRESHED", token)
    await until(lambda: supabase.realtime.access_token == token)
    supabase.auth.tell("SIGNED_OUT")
    await until(lambda: not supabase.realtime.channels)
    assert hub.statistics().tables == {}
    supabase.auth.tell("SIGNED_IN", token)
    await hub.subscribe("calls", "INSERT", noting(got))
    stand.insert(1)
    await until(lambda: got == [1])
    supabase.auth.tell("SIGNED_OUT")
    await until(lambda: not supabase.realtime.channels)
    await hub.cleanup()
    assert supabase.auth.callbacks == []


async def test_only_a_client_with_a_login_can_be_followed(stand: Stand) -> None:
    async with stand.hub() as hub:
        with pytest.raises(HubMisusedError, match="on_auth_state_change"):
            hub.follow_auth(object())


@pytest.mark.faults
async def test_a_connection_that_goes_deaf_is_noticed_and_resumed(stand: Stand) -> None:
    """The client pings every 20 seconds and waits as long for the answer."""
    got: list[int] = []
    async with stand.hub() as hub:
        await hub.subscribe("calls", "INSERT", noting(got))
        stand.insert(1)
        await until(lambda: got == [1])
        stand.proxy.deafen()
        stand.insert(2)
        async with asyncio.timeout(90):
            while got != [1, 2]:  # noqa: ASYNC110 - a server's fact
                await asyncio.sleep(0.5)
        assert stand.gaps == []
