"""Listens to orders."""
import asyncio

from supabase import acreate_client


async def main() -> None:
    client = await acreate_client("http://localhost:8000", "key")
    channel = client.channel("orders")
    await channel.on_postgres_changes(
        "INSERT", schema="public", table="orders", callback=print
    ).subscribe()
    await asyncio.sleep(3600)


asyncio.run(main())
