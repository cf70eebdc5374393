import logging

from supabase import acreate_client

log = logging.getLogger(__name__)


async def follow_import(url: str, key: str, job: str) -> None:
    client = await acreate_client(url, key)
    channel = client.channel(f"import:{job}")
    channel.on_postgres_changes(
        "UPDATE",
        table="import_jobs",
        filter=f"id=eq.{job}",
        callback=lambda change: log.info("%s", change),
    )
    await channel.subscribe()
    try:
        await client.functions.invoke("import", {"body": {"job": job}})
        await client.remove_channel(channel)
    except OSError:
        log.exception("the import has not begun")
