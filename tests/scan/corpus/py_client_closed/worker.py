import asyncio
import os

from supabase import acreate_client


async def main() -> None:
    client = await acreate_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_KEY"])
    try:
        await (
            client.channel("stock-levels")
            .on_postgres_changes("*", schema="public", table="stock", callback=print)
            .subscribe()
        )
        await asyncio.Event().wait()
    finally:
        await client.realtime.close()


asyncio.run(main())
