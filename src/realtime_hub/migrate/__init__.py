"""Rewrites channels of supabase-js and supabase-py as subscriptions of a hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from realtime_hub.migrate.hubs import Hub
from realtime_hub.migrate.model import Change, Left, Migration, Moved
from realtime_hub.scan import scan


def migrate(
    folder: Path,
    hubs: Sequence[Hub],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Migration:
    """Say what a folder's files would be with subscriptions of hubs in place of channels.

    Writes nothing. Paths in the result are relative to the folder. hubs: of each language at most
    one without a client, for all clients that none is named for. progress: as of `scan`.

    Raises:
        SettingsError: there is no such folder.
        MissingExtraError: what it parses with is not installed.
    """
    found = scan([folder], progress)
    from realtime_hub.migrate.folder import migrate_folder

    return migrate_folder(folder.resolve(), found, hubs)


__all__ = ["Change", "Hub", "Left", "Migration", "Moved", "migrate"]
