"""Ports for servers that are told theirs."""

from __future__ import annotations

import secrets
import socket

_RANGE = range(20_000, 32_000)  # below what Linux gives to outgoing connections and to port 0


def free_port() -> int:
    """A port nobody listens on; a server that is given it gets it again after a restart."""
    while True:
        port = secrets.choice(_RANGE)  # `random` is seeded alike in all of pytest's workers
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
