"""Resume places in an SQLite file.

    clients(key BLOB PRIMARY KEY, body BLOB)
    key  = blake2b-128 of the JSON array [name, role, subject]
    body = JSON {"key": [..], "seen": s, "places": {topic: [epoch, lsn, ordinal]},
                 "untold": [topic]} | blake2b-128

A row whose digest does not fit is dropped: its client is told of a gap when it comes back,
as one is whose places are not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import Final, TypeVar

import orjson
import structlog

from realtime_hub.gateway.resume import ResumeKey, ResumeRecord
from realtime_hub.lsn import Position

log = structlog.get_logger(__name__)

_DIGEST: Final = 16
_TABLE: Final = "create table if not exists clients(key blob primary key, body blob) without rowid"
_T = TypeVar("_T")


class SqliteResumeStore:
    """Implements `gateway.resume.ResumeStore`.

    A file that is no database any more is moved to `<path>.broken`, and a new one is begun.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def load(self) -> list[ResumeRecord]:
        nothing: list[tuple[object, object]] = []
        rows = self._try(_rows, otherwise=nothing)
        records = [record for key, body in rows if (record := _read(key, body)) is not None]
        if len(records) < len(rows):
            log.error("resume_places_damaged", path=str(self._path), lost=len(rows) - len(records))
        return records

    def save(self, records: list[ResumeRecord], forget: list[ResumeKey]) -> None:
        written = [_written(record) for record in records]

        def write(db: sqlite3.Connection) -> None:
            db.execute("begin immediate")
            try:
                db.executemany("delete from clients where key = ?", [(_id(k),) for k in forget])
                db.executemany("insert or replace into clients values (?, ?)", written)
                db.execute("commit")
            except BaseException:
                with suppress(sqlite3.Error):
                    db.execute("rollback")
                raise

        self._try(write, otherwise=None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, work: Callable[[sqlite3.Connection], _T], *, otherwise: _T) -> _T:
        try:
            return work(self._connected())
        except sqlite3.OperationalError as error:  # the system refuses: it may pass
            self.close()
            raise OSError(str(error)) from error
        except sqlite3.DatabaseError as error:
            log.error("resume_places_damaged", path=str(self._path), error=str(error))
            self.close()
            self._move_aside()
            return otherwise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=1
            )
            try:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = full")
                connection.execute(_TABLE)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _move_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            file = self._path.with_name(self._path.name + suffix)
            with suppress(FileNotFoundError):
                file.replace(file.with_name(file.name + ".broken"))


def _rows(db: sqlite3.Connection) -> list[tuple[object, object]]:
    return db.execute("select key, body from clients").fetchall()


def _id(key: ResumeKey) -> bytes:
    return blake2b(orjson.dumps(list(key)), digest_size=_DIGEST).digest()


def _written(record: ResumeRecord) -> tuple[bytes, bytes]:
    places = {topic: list(place) for topic, place in record.places.items()}
    content = {"key": list(record.key), "seen": record.seen, "places": places}
    body = orjson.dumps(content | {"untold": sorted(record.untold)})
    return _id(record.key), body + blake2b(body, digest_size=_DIGEST).digest()


def _read(key: object, sealed: object) -> ResumeRecord | None:
    if not isinstance(sealed, bytes) or len(sealed) <= _DIGEST:
        return None
    body, digest = sealed[:-_DIGEST], sealed[-_DIGEST:]
    if not compare_digest(blake2b(body, digest_size=_DIGEST).digest(), digest):
        return None
    content = orjson.loads(body)
    places = {topic: Position(*place) for topic, place in content["places"].items()}
    untold = frozenset(content.get("untold", ()))
    record = ResumeRecord(ResumeKey(*content["key"]), places, content["seen"], untold)
    return record if key == _id(record.key) else None
