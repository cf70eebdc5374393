"""The Tables that a log's rows belong to, by number."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import suppress

from realtime_hub.changes import Table
from realtime_hub.log.codec import decode_table, encode_table
from realtime_hub.log.format import DamagedError, seal, unseal


class Versions:
    """Every version of a table, written once, whatever number of Table objects described it.

    `tables` is shared with the reading side. A Table that is appended takes the place of the
    equal one that came before or from the file, so changes read back carry the one that is live.
    """

    def __init__(self) -> None:
        self.tables: dict[int, Table] = {}
        self._numbers: dict[Table, int] = {}
        self._digests: dict[bytes, int] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Take in what the file has, in place of what it was thought to have.

        A damaged version stays unknown, and so do its rows.
        """
        self._numbers.clear()
        self._digests.clear()
        for number, sealed in connection.execute("select id, body from tables"):
            with suppress(DamagedError):
                body = unseal(b"table", number, sealed)
                self._digests[_digest(body)] = number
                self.tables.setdefault(number, decode_table(body))

    def number(self, table: Table, connection: sqlite3.Connection) -> int:
        """The number of a Table; a new version is written."""
        number = self._numbers.get(table)
        if number is not None:
            return number
        body = encode_table(table)
        number = self._digests.get(_digest(body))
        if number is None:
            number = self._insert(body, connection)
        elif number in self.tables:
            self._numbers.pop(self.tables[number], None)
        self._numbers[table] = number
        self.tables[number] = table
        return number

    def _insert(self, body: bytes, connection: sqlite3.Connection) -> int:
        (highest,) = connection.execute("select coalesce(max(id), 0) from tables").fetchone()
        number = int(highest) + 1
        sealed = seal(b"table", number, body)
        connection.execute("insert into tables values (?, ?)", (number, sealed))
        self._digests[_digest(body)] = number
        return number


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
