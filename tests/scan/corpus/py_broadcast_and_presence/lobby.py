import asyncio

from supabase import acreate_client


async def lobby(url: str, key: str, user: str) -> None:
    client = await acreate_client(url, key)
    room = client.channel("lobby", {"config": {"presence": {"key": user}}})
    room.on_presence_sync(lambda: print(room.presence_state()))
    room.on_broadcast("shout", lambda payload: print(payload))
    await room.subscribe()
    await room.track({"user": user})
    await asyncio.sleep(60)
    await client.remove_channel(room)


asyncio.run(lobby("http://localhost", "key", "ana"))
