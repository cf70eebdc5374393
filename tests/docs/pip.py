"""`pip install` as the documentation writes it: this package, with extras that it has."""

from __future__ import annotations

import sys
from importlib.metadata import metadata

from packaging.requirements import Requirement

PACKAGE = "realtime-hub"

if __name__ == "__main__":
    command, *wanted = sys.argv[1:]
    assert command == "install"
    for each in map(Requirement, wanted):
        assert each.name == PACKAGE, each
        assert each.extras <= set(metadata(PACKAGE).get_all("Provides-Extra", [])), each
