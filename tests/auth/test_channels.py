"""Private channels: policies on `realtime.messages` as Supabase's documentation writes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
import pytest

from realtime_hub.auth.channels import ChannelAuthorizer
from realtime_hub.errors import ChannelPolicyError, MissingPartitionError
from realtime_hub.hub.ports import ChannelRights, Extension
from realtime_hub.identity import Identity
from realtime_hub.ops import init, messages
from realtime_hub.postgres.pool import Pool, open_pool

pytestmark = pytest.mark.postgres

ANA, EVA = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
NOTHING = ChannelRights(broadcast=False, presence=False)
ALL = ChannelRights(broadcast=True, presence=True)


def who(subject: str = ANA, role: str = "authenticated", **claims: str) -> Identity:
    return Identity(role, json.dumps({"sub": subject, "role": role, **claims}), subject)


@pytest.fixture
async def dsn(database: str) -> str:
    await init.apply(database, messages.plan("none")[:1])
    return database


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, size=4, application_name="test")
    yield pool
    await pool.aclose()


@pytest.fixture
def policies(pool: Pool) -> ChannelAuthorizer:
    return ChannelAuthorizer(pool, ttl=300, timeout=1)


def run(dsn: str, statement: LiteralString) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement)


async def test_without_policies_nothing_is_allowed(policies: ChannelAuthorizer) -> None:
    assert await policies.readable(who(), "room:1") == NOTHING
    assert not await policies.writable(who(), "room:1", Extension.BROADCAST)


async def test_policies_by_topic_hold_for_the_topics_they_name(
    dsn: str, policies: ChannelAuthorizer
) -> None:
    run(
        dsn,
        """create policy a on realtime.messages for select to authenticated
                using ((select realtime.topic()) like 'room:%')""",
    )
    assert await policies.readable(who(), "room:1") == ALL
    assert await policies.readable(who(), "other:1") == NOTHING
    assert await policies.readable(who(role="anon"), "room:1") == NOTHING


async def test_policies_by_extension_tell_broadcast_and_presence_apart(
    dsn: str, policies: ChannelAuthorizer
) -> None:
    run(
        dsn,
        """
        create policy a on realtime.messages for select to authenticated
          using (realtime.messages.extension in ('presence'));
        create policy b on realtime.messages for insert to authenticated
          with check (realtime.messages.extension in ('broadcast'))""",
    )
    assert await policies.readable(who(), "t") == ChannelRights(broadcast=False, presence=True)
    assert await policies.writable(who(), "t", Extension.BROADCAST)
    assert not await policies.writable(who(), "t", Extension.PRESENCE)


async def test_policies_by_membership_ask_the_other_table(
    dsn: str, policies: ChannelAuthorizer
) -> None:
    run(
        dsn,
        """
        create table public.rooms_users(user_id uuid, room_topic text);
        grant select on public.rooms_users to authenticated;
        insert into public.rooms_users values ('11111111-1111-1111-1111-111111111111', 'room:1');
        create policy a on realtime.messages for select to authenticated using (
          exists (select user_id from public.rooms_users
                  where user_id = (select auth.uid()) and room_topic = (select realtime.topic())
                    and realtime.messages.extension in ('broadcast')))""",
    )
    assert await policies.readable(who(ANA), "room:1") == ChannelRights(True, False)
    assert await policies.readable(who(ANA), "room:2") == NOTHING
    assert await policies.readable(who(EVA), "room:1") == NOTHING


async def test_policies_read_the_claims(dsn: str, policies: ChannelAuthorizer) -> None:
    run(
        dsn,
        """create policy a on realtime.messages for insert to authenticated with check (
        current_setting('request.jwt.claims')::json ->> 'email' like '%@example.com')""",
    )
    friend, foe = who(email="ana@example.com"), who(email="ana@example.org")
    assert await policies.writable(friend, "t", Extension.BROADCAST)
    assert not await policies.writable(foe, "t", Extension.BROADCAST)


async def test_the_service_role_may_do_everything(policies: ChannelAuthorizer) -> None:
    service = who(role="service_role")
    assert await policies.readable(service, "t") == ALL
    assert await policies.writable(service, "t", Extension.PRESENCE)


@pytest.mark.parametrize("role", ["postgres", "nobody", 'anon"; reset role; --', ""])
async def test_superusers_and_roles_that_do_not_exist_may_nothing(
    policies: ChannelAuthorizer, role: str
) -> None:
    assert await policies.readable(who(role=role), "t") == NOTHING
    assert not await policies.writable(who(role=role), "t", Extension.BROADCAST)


async def test_a_policy_is_asked_once_until_it_is_forgotten(
    dsn: str, policies: ChannelAuthorizer
) -> None:
    run(dsn, "create policy a on realtime.messages for select to authenticated using (true)")
    answers = await asyncio.gather(*(policies.readable(who(), "t") for _ in range(20)))
    assert set(answers) == {ALL}
    assert policies.asked == 1
    run(dsn, "drop policy a on realtime.messages")
    assert await policies.readable(who(), "t") == ALL
    policies.forget(who(), "t")
    assert await policies.readable(who(), "t") == NOTHING


async def test_whoever_is_refused_is_asked_for_again(dsn: str, policies: ChannelAuthorizer) -> None:
    assert await policies.readable(who(), "t") == NOTHING
    run(dsn, "create policy a on realtime.messages for select to authenticated using (true)")
    assert await policies.readable(who(), "t") == ALL


async def test_an_answer_is_forgotten_after_its_time(dsn: str, pool: Pool) -> None:
    policies = ChannelAuthorizer(pool, ttl=0, timeout=1)
    assert not await policies.writable(who(), "t", Extension.BROADCAST)
    run(dsn, "create policy a on realtime.messages for insert to authenticated with check (true)")
    assert await policies.writable(who(), "t", Extension.BROADCAST)


async def test_asking_leaves_nothing_behind(dsn: str, policies: ChannelAuthorizer) -> None:
    run(
        dsn,
        """create policy a on realtime.messages to authenticated
                using (true) with check (true)""",
    )
    await policies.readable(who(), "t")
    await policies.writable(who(), "t", Extension.BROADCAST)
    with psycopg.connect(dsn) as conn:
        assert conn.execute("select count(*) from realtime.messages").fetchone() == (0,)


async def test_identity_and_topic_do_not_outlive_a_question(dsn: str, pool: Pool) -> None:
    policies = ChannelAuthorizer(pool, ttl=0, timeout=1)
    await policies.readable(who(), "t")
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "select current_user::text, current_setting('realtime.topic', true),"
            " current_setting('request.jwt.claims', true)"
        )
        assert await cursor.fetchone() == ("postgres", "", "")


async def test_a_policy_that_raises_denies_and_harms_no_other_topic(
    dsn: str, policies: ChannelAuthorizer
) -> None:
    run(
        dsn,
        """create policy a on realtime.messages to authenticated
        using (1 / (case realtime.topic() when 'bad' then 0 else 1 end) = 1)""",
    )
    assert await policies.readable(who(), "bad") == NOTHING
    assert not await policies.writable(who(), "bad", Extension.BROADCAST)
    assert await policies.readable(who(), "good") == ALL


async def test_a_policy_that_hangs_is_given_up(dsn: str, pool: Pool) -> None:
    run(
        dsn,
        """create policy a on realtime.messages for select to authenticated
        using (pg_sleep(60) is null)""",
    )
    policies = ChannelAuthorizer(pool, ttl=300, timeout=0.05)
    with pytest.raises(ChannelPolicyError, match="too long"):
        await policies.readable(who(), "t")


async def test_a_database_without_the_table_says_what_to_do(database: str) -> None:
    pool = await open_pool(database, size=1, application_name="test")
    policies = ChannelAuthorizer(pool, ttl=300, timeout=1)
    with pytest.raises(ChannelPolicyError, match="realtime-hub init"):
        await policies.readable(who(), "t")
    await pool.aclose()


async def test_a_day_without_a_partition_is_said(dsn: str, policies: ChannelAuthorizer) -> None:
    run(
        dsn,
        """do $$ declare part regclass; begin
        for part in select relid from pg_partition_tree('realtime.messages') where isleaf loop
          execute 'drop table ' || part;
        end loop; end $$""",
    )
    with pytest.raises(MissingPartitionError):
        await policies.readable(who(), "t")


@pytest.mark.parametrize("topic", ["", "ñandú 📞", "a" * 1000, "x'; drop table t; --", "%"])
async def test_an_odd_topic_is_only_a_name(
    dsn: str, policies: ChannelAuthorizer, topic: str
) -> None:
    run(dsn, "create policy a on realtime.messages for select to authenticated using (true)")
    assert await policies.readable(who(), topic) == ALL
