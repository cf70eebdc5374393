from __future__ import annotations

import itertools
from collections import defaultdict

import psycopg

from realtime_hub.demo import load
from realtime_hub.demo.load import CallCentre, Write

ORDER = {"en_cola": 0, "sonando": 1, "activa": 2, "transferida": 3, "finalizada": 4, "fallida": 4}


def writes(count: int, seed: int = 7) -> list[Write]:
    return list(itertools.islice(CallCentre(seed), count))


def test_the_same_seed_makes_the_same_writes() -> None:
    assert writes(2_000) == writes(2_000)


def test_another_seed_makes_others() -> None:
    assert writes(100, seed=1) != writes(100, seed=2)


def test_a_call_rings_is_answered_and_ends_in_this_order() -> None:
    states = defaultdict(list)
    for write in writes(5_000):
        for statement, values in write.statements:
            if "set estado" in statement:
                states[values[-1]].append(ORDER[str(values[0])])
    assert any(seen[-1] == ORDER["finalizada"] for seen in states.values())
    assert all(seen == sorted(set(seen)) for seen in states.values())


def test_as_many_calls_are_open_as_usual() -> None:
    centre = CallCentre(3, concurrent_calls=5)
    for _ in itertools.islice(centre, 3_000):
        assert len(centre._calls) <= 5


def test_a_message_and_its_conversation_change_in_one_transaction() -> None:
    messages = [w for w in writes(500) if "into mensajes_whatsapp" in w.statements[0][0]]
    assert messages
    assert all("update conversaciones_whatsapp" in w.statements[1][0] for w in messages)


async def test_every_write_fits_the_schema_and_changes_one_row_a_statement(centre: str) -> None:
    async with await psycopg.AsyncConnection.connect(centre, autocommit=True) as connection:
        await connection.execute("delete from bot_pause_status")
        for write in itertools.islice(CallCentre(7, first_id=1_000_000), 1_500):
            for statement, values in write.statements:
                cursor = await connection.execute(statement, values)
                assert cursor.rowcount == 1


async def test_a_second_run_ends_the_calls_that_the_first_left_open(centre: str) -> None:
    open_calls = "select call_id from llamadas_ventas where estado not in ('finalizada', 'fallida')"
    await load.run(centre, rate=400, duration=0.5)
    async with await psycopg.AsyncConnection.connect(centre, autocommit=True) as connection:
        first = set(await (await connection.execute(open_calls)).fetchall())
        await load.run(centre, rate=400, duration=0.5)
        second = set(await (await connection.execute(open_calls)).fetchall())
    assert first
    assert second
    assert not first & second
