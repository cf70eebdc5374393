class Listener:
    """Keeps a cache warm."""

    def __init__(self, client):
        self._client = client
        self._channel = None

    async def start(self):
        self._channel = self._client.channel("cache")
        self._channel.on_postgres_changes("*", schema="public", table="settings", callback=self._changed)
        await self._channel.subscribe()

    async def stop(self):
        await self._channel.unsubscribe()

    def _changed(self, payload):
        print(payload)
