import asyncio


async def main(client, handle, table):
    said = client.channel("said").on_broadcast("hello", handle)
    await said.on_postgres_changes("*", handle, table="a").subscribe()

    await client.channel("b").on_postgres_changes("*", handle, table="b").subscribe(print)
    await client.channel("c").on_postgres_changes("*", handle).subscribe()
    await client.channel("d").on_postgres_changes("*", handle, table=table).subscribe()
    await (
        client.channel("e", {"config": {"private": True}})
        .on_postgres_changes("*", handle, table="e")
        .subscribe()
    )
    sent = client.channel("f").on_postgres_changes("*", handle, table="f")
    await asyncio.wait_for(sent.subscribe(), 10)
    await asyncio.gather(
        client.channel("g").on_postgres_changes("*", handle, table="g").subscribe()
    )
    once = client.channel("h")
    once.on_postgres_changes("*", lambda _: once.unsubscribe(), table="h")
    await once.subscribe()
    task = client.channel("i")
    task.on_postgres_changes("*", handle, table="i")
    if table:
        await task.subscribe()
    given = client.channel("j")
    await given.on_postgres_changes(*[handle, "*"], table="j").subscribe()
    shown = await client.channel("k").on_postgres_changes("*", handle, table="k").subscribe()
    print(shown)
    ended = await client.channel("l").on_postgres_changes("*", handle, table="l").subscribe()
    closed = await ended.unsubscribe()
    return await client.channel("m").on_postgres_changes("*", handle, table="m").subscribe()
