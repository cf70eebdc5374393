"""Small projects for the scanner."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from realtime_hub.scan import Channel, Scan, scan


def scanned(folder: Path, files: dict[str, str]) -> Scan:
    """What is found in a project of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
    return scan([folder])


def one(folder: Path, text: str, name: str = "src/Chat.tsx") -> Channel:
    """The only channel of a file."""
    (channel,) = scanned(folder, {name: text}).channels
    return channel


def tables(found: Scan) -> list[tuple[str, str, int]]:
    """Table, event and line of each subscription in effect."""
    return [(each.table, each.event, each.place.line) for each in found.subscriptions]
