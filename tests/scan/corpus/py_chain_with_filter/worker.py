import asyncio

from realtime import AsyncRealtimeClient

TABLE = "jobs"


def handle(payload):
    print(payload)


async def run(url, key):
    client = AsyncRealtimeClient(url, key)
    channel = client.channel(f"jobs-{TABLE}")
    try:
        await (
            channel
            .on_postgres_changes("UPDATE", handle, table=TABLE, schema="queue", filter="state=eq.ready")
            .on_broadcast("wake", handle)
            .subscribe()
        )
        await client.listen()
    finally:
        await client.remove_channel(channel)


asyncio.run(run("ws://localhost", "k"))
