import asyncio

from realtime import AsyncRealtimeClient, AsyncRealtimeChannel

orders_channel: AsyncRealtimeChannel | None = None
ORDERS = "orders"


def show(payload):
    print(payload)


async def main(client: AsyncRealtimeClient) -> None:
    global orders_channel
    orders_channel = client.channel("orders")  # all of them
    orders_channel.on_postgres_changes("*", show, table=ORDERS, schema="shop")
    await orders_channel.subscribe()

    channel = client.channel("calls")
    channel.on_postgres_changes("INSERT", callback=show, table="calls")
    channel.on_postgres_changes("DELETE", callback=show, table="old.calls", filter=None)
    await channel.subscribe()
    await client.channel("users").on_postgres_changes("INSERT", show, table="users").subscribe()
    try:
        await asyncio.sleep(60)
    finally:
        await client.remove_channel(channel)
        await client.remove_channel(orders_channel)
