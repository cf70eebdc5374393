"""What a test in Node asks of the stand: SQL to run, tokens, and the gateway's life."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.stand import Stand
from tests.support.tokens import make_token


@contextmanager
def controlled(stand: Stand) -> Iterator[str]:
    """Serve the stand's controls on a port of 127.0.0.1; yields their URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forget(stand: Stand) -> None:
    stand.gateway.stop()
    for path in stand.gateway.log_path.parent.glob("changes.sqlite*"):
        path.unlink()
    stand.gateway.start()


def _handler(stand: Stand) -> type[BaseHTTPRequestHandler]:
    controls: dict[str, Callable[[dict[str, Any]], object]] = {
        "/url": lambda body: stand.url,
        "/token": lambda body: make_token(body.get("role", "anon"), body.get("sub")),
        "/write": lambda body: stand.write(*body["statements"]),
        "/start": lambda body: stand.gateway.start(),
        "/stop": lambda body: stand.gateway.stop(),
        "/kill": lambda body: stand.gateway.kill(),
        "/forget": lambda body: _forget(stand),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            try:
                status, said = 200, controls[self.path](json.loads(body or b"{}"))
            except Exception as error:  # noqa: BLE001 - told to the test, which fails
                status, said = 500, repr(error)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Tests' output is kept clean."""

    return Handler
