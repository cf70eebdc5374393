"""Folders of source code, and what migrating them gives."""

from __future__ import annotations

import subprocess
from pathlib import Path

from realtime_hub.migrate import Hub, Migration, migrate

HUB = Hub("@/lib/realtimeHub")
PYTHON_HUB = Hub("app.realtime", python=True)


def made(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def migrated(folder: Path, *hubs: Hub) -> Migration:
    return migrate(folder, hubs or [HUB, PYTHON_HUB])


def git(folder: Path, *command: str) -> str:
    options = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *options, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def committed(folder: Path) -> Path:
    """The folder as a repository of its own, all committed."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "before")
    return folder


CALLS = """\
import { supabase } from './supabase';

const channel = supabase
  .channel('calls')
  .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'calls' }, console.log)
  .subscribe();

export const stop = () => supabase.removeChannel(channel);
"""

CALLS_AFTER = """\
import { hub } from '@/lib/realtimeHub';

const unsubscribe = hub.subscribe('calls', 'INSERT', console.log);

export const stop = () => unsubscribe();
"""

SAID = """\
import { supabase } from './supabase';

supabase
  .channel('said')
  .on('postgres_changes', { event: '*', schema: 'public', table: 'calls' }, console.log)
  .subscribe((status) => console.log(status));
"""
