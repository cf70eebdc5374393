"""What `realtime-hub serve` says at its start."""

from __future__ import annotations

import json

from tests.support.gateway import Gateway
from tests.support.postgres import Server

TABLE = "create table calls (note text); create publication supabase_realtime for table calls"


def test_a_start_says_what_the_doctor_finds_and_serves_all_the_same(
    postgres: Server, database: str
) -> None:
    postgres.execute(database, TABLE)
    with Gateway(database) as gateway:
        said = [json.loads(line) for line in gateway.log.splitlines()]
        assert gateway.ready()
    found = {line["check"]: line for line in said if line["event"] == "doctor"}
    assert {"max_slot_wal_keep_size", "primary key", "row security"} <= found.keys()
    assert {line["level"] for line in found.values()} == {"warning"}
    assert "public.calls" in found["primary key"]["problem"]
    assert "alter system" in found["max_slot_wal_keep_size"]["remedy"]
    assert "version" not in found
    serving = next(number for number, line in enumerate(said) if line["event"] != "doctor")
    assert serving == len(found), "the doctor speaks first"
