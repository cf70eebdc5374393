"""How a listener wants to be called: checked where it is made, trusted after."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Hashable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from realtime_hub.changes import TableName
from realtime_hub.errors import SubscriptionError
from realtime_hub.library.change import EVENTS, Change, Gap
from realtime_hub.library.fallback import Fallback

Callback: TypeAlias = Callable[[Change], object] | Callable[[Change], Awaitable[object]]
OnError: TypeAlias = Callable[[Exception, Change | None], object]
OnGap: TypeAlias = Callable[[Gap], object]
KeyOf: TypeAlias = Callable[[Change], Hashable]

DEFAULT_QUEUE: Final = 1_000
_KNOWN: Final = (*EVENTS, "TRUNCATE")


class Overflow(StrEnum):
    """What happens to a listener whose queue is full.

    BLOCK: the upstream is read no further until there is room (all listeners of the hub wait;
    an upstream that can't be held back lets the queue grow). DROP_OLDEST: the oldest waiting
    change is dropped and counted. DISCONNECT: the listener is removed, and told by
    ListenerOverflowError. COALESCE: a waiting change with an equal key gives way to the new one.
    """

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"
    COALESCE = "coalesce"


OverflowName: TypeAlias = Overflow | Literal["block", "drop_oldest", "disconnect", "coalesce"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How changes reach a callback.

    executor: where plain callables run; True for the event loop's own, None for inline.
    max_queue: changes that may wait. debounce: seconds of quiet before a call, with the last
    change. throttle: seconds between calls at the least, with the latest change. coalesce: a
    column, or a function of the change, whose value tells what a newer change replaces.

    Raises ValueError for what makes no sense together.
    """

    executor: Executor | Literal[True] | None = None
    max_queue: int = DEFAULT_QUEUE
    overflow: OverflowName = Overflow.BLOCK
    debounce: float | None = None
    throttle: float | None = None
    coalesce: str | KeyOf | None = None
    fallback: Fallback | None = None
    on_gap: OnGap | None = None
    on_error: OnError | None = None

    def __post_init__(self) -> None:
        if self.max_queue < 1:
            raise ValueError("max_queue must be at least 1")
        if self.debounce is not None and self.throttle is not None:
            raise ValueError("debounce and throttle exclude each other")
        for name in ("debounce", "throttle"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} must be more than 0 seconds")
        if Overflow(self.overflow) is Overflow.COALESCE and self.coalesce is None:
            raise ValueError(
                "overflow='coalesce' needs coalesce=, the key that tells changes apart"
            )

    @property
    def key_of(self) -> KeyOf | None:
        """`coalesce` as a function; a column's value is taken from the row that filters judge."""
        key = self.coalesce
        if isinstance(key, str):
            column = key
            return lambda change: _hashable(change.row.get(column))
        return key


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    linger: a channel stays open after its last listener, and keeps bindings that are too wide.
    disconnect_grace: a channel is down before that is said. overlap: the old channel stays open
    beside the new one. settle: listeners that come within it are served by one channel.
    max_retry_delay: between attempts to open a lost channel again, at the most.
    """

    linger: float = 5.0
    disconnect_grace: float = 3.0
    overlap: float = 1.0
    settle: float = 0.0
    max_retry_delay: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} can't be negative")


def events_of(events: str | Iterable[str]) -> frozenset[str]:
    """Event names in any case; `*` stands for INSERT, UPDATE and DELETE.

    Raises SubscriptionError.
    """
    named = [events] if isinstance(events, str) else list(events)
    found: set[str] = set()
    for name in named:
        if name == "*":
            found.update(EVENTS)
        elif str(name).upper() in _KNOWN:
            found.add(str(name).upper())
        else:
            raise SubscriptionError(f"unknown event {name!r}; events are {', '.join(_KNOWN)}, *")
    if not found:
        raise SubscriptionError(f"no event was named; events are {', '.join(_KNOWN)}, *")
    return frozenset(found)


def table_of(table: str | tuple[str, str]) -> TableName:
    """`name` in schema public, `schema.name`, or both as a pair. Raises SubscriptionError."""
    if not isinstance(table, str):
        schema, name = table
    else:
        schema, dot, name = table.partition(".")
        if not dot:
            schema, name = "public", table
    if not schema or not name:
        raise SubscriptionError(f"{table!r} names no table; write 'name' or 'schema.name'")
    return TableName(schema, name)


def columns_of(columns: Iterable[str] | None) -> frozenset[str] | None:
    """Raises SubscriptionError for a bare string, which would be taken letter by letter."""
    if isinstance(columns, str):
        raise SubscriptionError(f"columns is a list of names: columns=[{columns!r}]")
    return None if columns is None else frozenset(columns)


def is_async(callback: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; callable objects and partials included."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(callback, "__call__", None)  # noqa: B004 - its kind is asked, not its being
    )


def _hashable(value: Any) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)
