"""Code in any state is read without an error, and harms no other file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_hub.scan import scan
from tests.scan.test_dart import STATE
from tests.scan.test_hubs import OWN

GOOD = (
    "supabase.channel('x').on('postgres_changes',"
    " { event: '*', schema: 'public', table: 't' }, f).subscribe()\n"
)
WORKER = """
from supabase import acreate_client

class Live:
    def __init__(self, tables):
        self.tables = tables

    async def start(self, schema="public"):
        channel = client.channel(f"live-{time.time()}")
        for table in self.tables:
            channel.on_postgres_changes("*", schema=schema, table=table, callback=lambda c: c)
        async with lock as held:
            await channel.subscribe()

live = Live([name for name in ("a", "b")])
"""
SOURCES = {"hub.ts": OWN, "chat.dart": STATE, "worker.py": WORKER, "page.vue": f"<script>{OWN}"}


@given(
    name=st.sampled_from(sorted(SOURCES)),
    start=st.floats(0, 1),
    length=st.integers(0, 80),
    given_instead=st.text(alphabet="(){}[];,\"'`$=<>/*#@: \n", max_size=6),
)
@settings(max_examples=80)
def test_damaged_code_harms_no_other_file(
    name: str, start: float, length: int, given_instead: str
) -> None:
    text = SOURCES[name]
    place = int(start * len(text))
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(text[:place] + given_instead + text[place + length :])
        (Path(folder) / "good.ts").write_text(GOOD)
        document = scan([Path(folder)]).as_json()
    assert [
        (s["table"], s["line"]) for s in document["subscriptions"] if s["file"] == "good.ts"
    ] == [("t", 1)]
