"""Follows the queues of one region with a thread of its own."""

from supabase import create_client

TABLES = ("jobs", "attempts")


def follow(url: str, key: str, handle) -> list:
    client = create_client(url, key)
    opened = []
    for table in TABLES:
        channel = client.channel(f"queue-{table}")
        channel.on_postgres_changes("INSERT", schema="queue", table=table, callback=handle)
        channel.subscribe()
        opened.append(channel)
    return opened


if __name__ == "__main__":
    follow("http://localhost", "key", print)
