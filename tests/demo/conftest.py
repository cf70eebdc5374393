from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from realtime_hub.demo.cluster import Cluster
from realtime_hub.demo.database import prepare


@pytest.fixture(scope="package")
def centre() -> Iterator[str]:
    """DSN of the demo's own server, with its schema; tests share what they write."""
    cluster = Cluster()
    try:
        asyncio.run(cluster.start())
        asyncio.run(prepare(cluster.dsn))
        yield cluster.dsn
    finally:
        asyncio.run(cluster.stop())
