"""What a replication connection is opened with."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from realtime_hub.errors import SettingsError
from realtime_hub.sources.connection import Connection, replication_conninfo

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(("given", "expected"), [("", 30_000), ("?tcp_user_timeout=7000", 7_000)])
async def test_a_server_that_is_gone_is_noticed_unless_the_dsn_says_otherwise(
    database: str, given: str, expected: int
) -> None:
    assert urlsplit(database).hostname == "127.0.0.1"  # over TCP
    connection = await Connection.open(
        replication_conninfo(database + given, 10.0), connect_timeout=30
    )
    try:
        with socket.socket(fileno=connection._pgconn.socket) as shared:
            try:
                timeout = shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                idle = shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                alive = shared.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            finally:
                shared.detach()
        assert (timeout, idle, alive) == (expected, 15, 1)
    finally:
        connection.close()


def test_a_dsn_that_is_none_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(SettingsError) as refused:
        replication_conninfo("postgresql://user:hush@[half", 10.0)
    assert "hush" not in str(refused.value)
