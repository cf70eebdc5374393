"""The client's own tests, with its pinned packages and a real gateway beside them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients_js.control import controlled
from tests.support.postgres import Server
from tests.support.stand import standing

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "js"
CACHE = ROOT / ".cache"

TABLES = """
create table llamadas_ventas(
  call_id bigint primary key, estado text, agente_id uuid, monto numeric);
create table mensajes_whatsapp(id bigint primary key, mensaje text, fecha timestamptz);
create table prospectos(id bigint primary key, etapa text, coordinacion_id int);
create table uchat_messages(id bigint primary key);
create table notas(id bigint primary key, dueno uuid, texto text);
alter table notas enable row level security;
create policy duenos on notas for select to authenticated using (dueno = auth.uid());
"""
PUBLISHED = "llamadas_ventas, mensajes_whatsapp, prospectos, notas"


@pytest.fixture(scope="session")
def package() -> Path:
    """The package's directory, with what its package-lock.json pins."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    lock_file = PACKAGE / "package-lock.json"
    installed = PACKAGE / "node_modules" / ".installed"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "clients-js.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock_file.read_bytes():
            done = run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            assert done.returncode == 0, done.stdout + done.stderr
            installed.write_bytes(lock_file.read_bytes())
    return PACKAGE


@pytest.fixture(scope="session")
def control(postgres: Server) -> Iterator[str]:
    with standing(postgres, TABLES, PUBLISHED) as stand, controlled(stand) as url:
        yield url


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the package's directory."""
    return subprocess.run(
        command, cwd=PACKAGE, env=os.environ | environment, capture_output=True, text=True
    )
