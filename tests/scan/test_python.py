"""Channels in Python."""

from __future__ import annotations

from pathlib import Path

from realtime_hub.scan import Cleanup
from realtime_hub.scan.model import Term
from tests.scan.parts import one, scanned, tables


def test_a_channel_and_its_bindings_are_proven(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        from supabase import acreate_client

        TABLE = "messages"

        async def main():
            client = await acreate_client(URL, KEY)
            channel = client.channel("room")
            channel.on_postgres_changes(
                event="INSERT", schema="public", table=TABLE, filter="id=eq.1", callback=show
            )
            channel.on_broadcast("typing", show)
            channel.on_presence_sync(show)
            await channel.subscribe()
            try:
                await work()
            finally:
                await client.remove_channel(channel)
        """,
        "worker.py",
    )
    assert [(b.kind, b.event.text, b.table.text, b.filter.text) for b in channel.bindings] == [
        ("postgres_changes", "INSERT", "messages", "id=eq.1"),
        ("broadcast", "typing", None, None),
        ("presence", "sync", None, None),
    ]
    assert channel.owner == "main"
    assert channel.cleanup is Cleanup.YES


def test_an_f_string_and_a_positional_event_are_read(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        def listen(user):
            (
                supabase.channel(f"user-{user}")
                .on_postgres_changes("*", on_change, table="inbox", filter=f"user=eq.{user}")
                .subscribe()
            )
        """,
        "x.py",
    )
    (binding,) = channel.bindings
    assert (channel.name, channel.name_kind) == ('f"user-{user}"', "template")
    assert (binding.event, binding.table) == (Term("*"), Term("inbox"))
    assert binding.filter == Term('f"user=eq.{user}"', proven=False)


def test_a_classs_tables_come_from_who_makes_it(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "live.py": """
            class Live:
                def __init__(self, tables, schema="public"):
                    self.tables = tables
                    self.schema = schema

                async def start(self):
                    channel = client.channel("live")
                    for table in self.tables:
                        channel.on_postgres_changes(
                            "*", schema=self.schema, table=table, callback=show
                        )
                    await channel.subscribe()
            """,
            "main.py": """
            from live import Live

            live = Live(["a", "b"])
            asyncio.run(live.start())
            """,
        },
    )
    assert tables(found) == [("a", "*", 3), ("b", "*", 3)]
    assert found.unresolved == []


def test_brokers_channels_are_left_alone(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {"x.py": "channel = connection.channel()\nchannel.basic_consume(queue='q')\n"},
    )
    assert found.channels == []


def test_the_first_versions_socket_names_its_table_in_the_topic(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        socket = Socket(URL)
        socket.connect()
        channel = socket.set_channel("realtime:public:todos")
        channel.join().on("UPDATE", show)
        """,
        "old.py",
    )
    (binding,) = channel.bindings
    assert (binding.event, binding.schema, binding.table) == (
        Term("UPDATE"),
        Term("public"),
        Term("todos"),
    )
