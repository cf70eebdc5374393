from supabase import AsyncClient


class Watcher:
    def __init__(self, client: AsyncClient, table: str, event: str = "*") -> None:
        self.client, self.table, self.event = client, table, event

    async def start(self) -> None:
        self.channel = self.client.channel(f"watch-{self.table}")
        self.channel.on_postgres_changes(
            self.event, schema="public", table=self.table, callback=self.take
        )
        await self.channel.subscribe()

    async def stop(self) -> None:
        await self.client.remove_channel(self.channel)

    def take(self, change: dict) -> None:
        print(change)


class Trains(Watcher):
    def __init__(self, client: AsyncClient) -> None:
        super().__init__(client, "trains")


class Trams(Watcher):
    def __init__(self, client: AsyncClient) -> None:
        Watcher.__init__(self, client, "trams", "INSERT")
