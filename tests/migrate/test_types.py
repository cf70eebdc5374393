"""TypeScript's compiler accepts what was migrated, against the types of clients/js."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.migrate.folders import made, migrated
from tests.migrate.test_cases import BEFORE, CASES

pytestmark = pytest.mark.node

SUPABASE = """\
import { createClient } from '@supabase/supabase-js';
export const supabase = createClient('http://127.0.0.1', 'key');
"""
HUB_MODULE = """\
import { createHub } from 'realtime-hub';
import { supabase } from './supabase';
export const hub = createHub(supabase);
"""


def project(folder: Path, package: Path) -> Path:
    """The typed cases as one project."""
    options = {
        "target": "ES2022",
        "module": "ESNext",
        "moduleResolution": "Bundler",
        "lib": ["ES2022", "DOM"],
        "types": ["node"],
        "jsx": "react-jsx",
        "strict": True,
        "noUnusedLocals": True,
        "skipLibCheck": True,
        "noEmit": True,
        "paths": {
            "@/*": ["./*"],
            "realtime-hub": [str(package / "types" / "index.d.ts")],
        },
    }
    made(
        folder,
        {
            "tsconfig.json": json.dumps({"compilerOptions": options, "include": ["."]}),
            "supabase.ts": SUPABASE,
            "lib/supabase.ts": SUPABASE,
            "lib/realtimeHub.ts": HUB_MODULE,
        },
    )
    for name in BEFORE:
        if name.endswith((".ts", ".tsx")):
            made(folder, {name.replace(".before", ""): (CASES / name).read_bytes()})
    (folder / "node_modules").symlink_to(package / "node_modules")
    return folder


def checked(folder: Path) -> str:
    """What the compiler complains of."""
    program = folder / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [program, "-p", "tsconfig.json"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_typed_files_fit_their_types_before_and_after(package: Path, tmp_path: Path) -> None:
    project(tmp_path, package)
    assert checked(tmp_path) == ""
    found = migrated(tmp_path)
    made(tmp_path, {change.path: change.after for change in found.changes})
    assert len(found.changes) >= 4
    assert checked(tmp_path) == ""
