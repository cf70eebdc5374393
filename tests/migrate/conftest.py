"""The client's package is built once, by the fixture of its own tests."""

from tests.clients_js.conftest import package

__all__ = ["package"]
