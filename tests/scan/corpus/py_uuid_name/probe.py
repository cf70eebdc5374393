import uuid

from supabase import AsyncClient


async def probe(client: AsyncClient, seen) -> None:
    channel = client.channel(f"probe-{uuid.uuid4()}")
    channel.on_postgres_changes(event="*", schema="public", table="heartbeats", callback=seen)
    await channel.subscribe()


async def main(client: AsyncClient) -> None:
    await probe(client, print)
