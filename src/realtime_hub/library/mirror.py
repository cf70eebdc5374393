"""A table's rows as a live mapping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import structlog

from realtime_hub.errors import SnapshotRefusedError
from realtime_hub.library.change import Change
from realtime_hub.library.filters import Shape
from realtime_hub.library.snapshot import SnapshotFeed
from realtime_hub.library.subscription import Subscription

log = structlog.get_logger(__name__)

Row = Mapping[str, Any]
OnRow = Callable[[Change | None], object]


class Mirror(Mapping[Any, Row]):
    """The rows of a table by key, as they are now; made by `hub.mirror`.

        async with hub.mirror("llamadas_ventas") as calls:
            calls["a1"]["estado"]

    The key is one column's value, or a tuple of several. It is empty until it was awaited or
    entered. After a gap all rows are read again; until they are there the old ones stay.
    Replace nothing in the rows: everybody who reads shares them.
    """

    def __init__(self, key: Iterable[str] | None) -> None:
        self._names = None if key is None else tuple(key)
        self._key: tuple[str, ...] = ()
        self._rows: dict[Any, Row] = {}
        self._coming: dict[Any, Row] | None = None
        self._callbacks: dict[object, OnRow] = {}
        self._moved = asyncio.Event()
        self._feed: SnapshotFeed | None = None
        self._subscription: Subscription | None = None

    def bind(self, subscription: Subscription, feed: SnapshotFeed) -> None:
        """What fills it, and ends it."""
        self._subscription, self._feed = subscription, feed

    # Reading

    def __getitem__(self, key: Any) -> Row:
        return self._rows[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        """Without row data, so that it may go to logs."""
        return f"<Mirror of {len(self._rows)} rows>"

    def on_change(self, callback: OnRow) -> Callable[[], None]:
        """Call back after each change, and with None after all rows were read; returns what
        ends it."""
        token = object()
        self._callbacks[token] = callback
        return lambda: self._callbacks.pop(token, None) and None

    async def changed(self) -> None:
        """Wait until a row is another than now."""
        moved = self._moved
        await moved.wait()

    # From the beginning to the end

    def __await__(self) -> Generator[Any, None, Self]:
        return self._filled().__await__()

    async def _filled(self) -> Self:
        if self._feed is not None:
            await self._feed.wait_complete()
        return self

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Follow the table no more; the rows stay as they are. Harmless when called again."""
        if self._subscription is not None:
            self._subscription()

    # What its feed tells it

    def begin(self, shape: Shape | None) -> None:
        self._coming = {}
        self._key = self._key_of(shape)

    def put(self, change: Change) -> None:
        rows = self._rows if self._coming is None else self._coming
        if change.event == "TRUNCATE":
            rows.clear()
        elif change.event == "DELETE":
            self._remove(rows, change.old)
        else:
            self._write(rows, change)
        if self._coming is None:
            self._tell(change)

    def complete(self) -> None:
        if self._coming is not None:
            self._rows, self._coming = self._coming, None
        self._tell(None)

    def _key_of(self, shape: Shape | None) -> tuple[str, ...]:
        if self._names is not None:
            return self._names
        names = () if shape is None else shape.key
        if not names:
            raise SnapshotRefusedError(
                'a mirror needs to know the key: hub.mirror(table, key="id")'
            )
        return names

    def _write(self, rows: dict[Any, Row], change: Change) -> None:
        new, old = change.new, change.old
        key = self._value(new)
        if key is None:
            return
        before = self._value(old)
        moved = before is not None and before != key
        known = rows.pop(before, None) if moved else rows.get(key)
        # An UPDATE leaves out large values that it did not touch.
        rows[key] = new if known is None or change.event == "INSERT" else {**known, **new}

    def _remove(self, rows: dict[Any, Row], old: Row) -> None:
        key = self._value(old)
        if key is not None:
            rows.pop(key, None)

    def _value(self, row: Row) -> Any:
        """The row's key; None if it lacks a part of it."""
        if not all(name in row for name in self._key):
            return None
        values = tuple(row[name] for name in self._key)
        return values if len(values) > 1 else values[0]

    def _tell(self, change: Change | None) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
        for callback in tuple(self._callbacks.values()):
            try:
                callback(change)
            except Exception:
                log.exception("callback_failed", callback=repr(callback))
