"""Realtime changes from PostgreSQL: read the write-ahead log once, tell everybody who listens."""

from realtime_hub.changes import Change, Column, Kind, Table
from realtime_hub.lsn import Position

__all__ = ["Change", "Column", "Kind", "Position", "Table"]
__version__ = "0.1.0"
