"""The reference case from one end to the other: the rehearsal's commands, in its own order."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.docs.pages import DOCS, ROOT
from tests.docs.shell import Shell, commands
from tests.ops.reference import NEEDLESS

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.slow,  # npm installs what the front end needs
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """It measures for so long that the load's writes are in PostgreSQL's statistics."""
    settings = {
        "REPOSITORY": str(ROOT),
        "NPM_CONFIG_CACHE": str(ROOT / ".cache" / "npm"),
        "NPM_CONFIG_USERCONFIG": str(Path.home() / ".npmrc"),
    }
    with Shell(tmp_path, "", settings, watch="2s") as shell:
        yield shell


SILENT = {
    "components/ConversationsWidget.tsx:27",
    "components/ConversationsWidget.tsx:30",
    "components/LiveChat.tsx:27",
}
"""Subscriptions to tables that are not there."""
DEAD = {"services/callListener.ts:20", "services/callListener.ts:28"}
"""A function that nothing calls, and a channel in a comment."""


class Patient:
    """What the steps have made of the database and of the front end."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def published(self) -> set[str]:
        with psycopg.connect(self._shell.environment["DATABASE_URL"]) as conn:
            rows = conn.execute("select tablename from pg_publication_tables").fetchall()
        return {name for (name,) in rows}

    def channels(self, table: str) -> int:
        """Channels of one agent that listen to a table."""
        said = json.loads(self._shell.run("realtime-hub scan src --format json --quiet"))
        live = [channel for channel in said["channels"] if channel["reachable"]]
        return sum(any(b["table"] == table for b in channel["bindings"]) for channel in live)

    def changed(self) -> list[str]:
        return self._shell.run("git diff --name-only").split()


def test_the_rehearsal_goes_there_and_all_the_way_back(shell: Shell) -> None:
    patient, steps, before = Patient(shell), list[str](), set[str]()
    for command in commands(DOCS / "rehearsal.md"):
        said = shell.follow(command)
        step = " ".join(command.split()[:3])
        steps.append(step)
        again = steps.count(step) > 1
        match step:
            case "realtime-hub demo --port":
                (export,) = [line for line in said.splitlines() if "export PATH=" in line]
                shell.run(export.strip())
                before = patient.published()
                assert len(before) == 20
            case "realtime-hub audit --source":
                assert subjects(said, "RH101") == {f"public.{table}" for table in NEEDLESS}
                assert subjects(said, "RH102") == SILENT
                assert len(subjects(said, "RH201")) == 3
                assert len(subjects(said, "RH202")) == 10
                assert subjects(said, "RH206") == DEAD
            case "npm run check":
                assert len(patient.changed()) == (8 if again else 0)
                assert patient.channels("llamadas_ventas") == (0 if again else 4)
                assert patient.channels("prospectos") == (0 if again else 5)
                assert patient.channels("mensajes_whatsapp") == (0 if again else 3)
            case "realtime-hub slim verify":
                assert patient.published() == (before if again else before - NEEDLESS)
            case "realtime-hub migrate src":
                assert said == ""  # the first time it went to the file
            case "realtime-hub report before.json":
                assert figures(said, "tables in the publication") == [20, 13]
                assert min(figures(said, r"changes processed \(per min\)")) > 0
            case "git apply --reverse":
                assert patient.changed() == []
    assert patient.published() == before
    assert {"git apply --reverse", "realtime-hub report before.json"} <= set(steps)


def subjects(said: str, rule: str) -> set[str]:
    """What the findings of a rule are about, in the audit's table."""
    return set(re.findall(rf"^\w+ +{rule} +([^ ]+):(?: |$)", said, re.MULTILINE))


def figures(said: str, name: str) -> list[float]:
    """A line of the report's table: before and after."""
    found = re.search(rf"^{name} +([\d,.]+) +([\d,.]+)", said, re.MULTILINE)
    assert found is not None, said
    return [float(figure.replace(",", "")) for figure in found.groups()]
