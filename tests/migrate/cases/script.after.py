import asyncio

from realtime import AsyncRealtimeClient
from app.realtime import hub
from realtime_hub import Subscription, payloads

unsubscribe_orders: Subscription | None = None
ORDERS = "orders"


def show(payload):
    print(payload)


async def main(client: AsyncRealtimeClient) -> None:
    global unsubscribe_orders
    # all of them
    unsubscribe_orders = await hub.subscribe(("shop", ORDERS), "*", payloads(show))

    unsubscribes = []
    unsubscribes.append(await hub.subscribe("calls", "INSERT", payloads(show)))
    unsubscribes.append(await hub.subscribe(("public", "old.calls"), "DELETE", payloads(show)))
    await hub.subscribe("users", "INSERT", payloads(show))
    try:
        await asyncio.sleep(60)
    finally:
        for stop in unsubscribes:
            stop()
        unsubscribe_orders()
