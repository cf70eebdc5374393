from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.ledger import Ledger, keeping
from tests.support.postgres import Server


@pytest.fixture
def ledger(postgres: Server) -> Iterator[Ledger]:
    with keeping(postgres) as made:
        yield made
