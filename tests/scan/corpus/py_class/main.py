from supabase import acreate_client

from service import Listener


async def main():
    listener = Listener(await acreate_client("u", "k"))
    await listener.start()
    try:
        input()
    finally:
        await listener.stop()
