"""What the hub needs from the outside, as Protocols; adapters stand in sources/, auth/, log/, bus/.

A port's docstring is its contract: ordering, atomicity, cancellation, and who closes. One
conformance suite per port holds every adapter to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Literal, Protocol, TypeAlias

from realtime_hub.changes import Change, Row, Table, TableName
from realtime_hub.hub.posts import Post
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position
from realtime_hub.wire.broadcast import Broadcast
from realtime_hub.wire.filters import Condition


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive changes of one reading of the stream.

    confirmable: once these changes and all before them are durable, the WAL up to this LSN
    is no longer needed; 0 when the batch moves nothing (it ends inside a transaction).
    """

    changes: Sequence[Change]
    confirmable: int = 0


class SourceState(StrEnum):
    CONNECTING = "connecting"
    STREAMING = "streaming"
    WAITING = "waiting"  # to try again, or for a slot that another process holds
    CLOSED = "closed"


class Source(Protocol):
    """Yields the committed changes of the published tables.

    Ordering: commit order, and within a transaction the order of its statements; Positions
    grow. After a reconnect, changes that were not confirmed come again with the same Positions.
    A Table is the same object until PostgreSQL describes the relation again. A batch may be
    empty; the first one says that reading has begun.
    Failures: what may pass (connection lost, slot in use) is retried inside, with back-off;
    what can't is raised from `batches` as a SourceError.
    Cancellation: `batches` may be cancelled at any await, or closed, and is then finished; who
    asks for another one gets all that was not confirmed.
    Closing: whoever made the source calls `aclose`, once `batches` has ended.
    """

    @property
    def state(self) -> SourceState: ...

    def batches(self) -> AsyncGenerator[Batch, None]: ...

    def confirm(self, lsn: int) -> None:
        """Everything up to `lsn` is durable. Never blocks; lower values are ignored."""

    async def aclose(self) -> None: ...


GoneReason: TypeAlias = Literal["retention", "epoch", "corrupt"]
"""Why changes after a Position can't be read any more."""


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """What a ChangeLog holds at one moment.

    changes, bytes: kept, on disk where there is one. oldest_commit: commit time of the oldest
    of them, microseconds since the Unix epoch. waiting, waiting_bytes: appended and not yet
    durable (the bytes are an estimate). syncs: times the storage was made durable.
    error: why the storage can't be written now, in the system's words.
    """

    changes: int = 0
    bytes: int = 0
    oldest_commit: int | None = None
    waiting: int = 0
    waiting_bytes: int = 0
    syncs: int = 0
    error: str | None = None


class ChangeLog(Protocol):
    """Keeps changes in commit order so that they can be read again.

    Ordering: Positions grow and belong to `epoch`; a log may refuse what does not with a
    ValueError. `head` is right after reopening (it is then `durable`), so whoever appends
    drops changes at or before `head`: a slot repeats what was durable and not yet confirmed.
    Atomicity: one append is seen by `read` at once and whole. What survives a crash is a
    prefix of what was appended, never less than what `sync` has answered for.
    Blocking: `append` never blocks and never fails for the storage's sake. Trouble with the
    storage shows in `statistics`, `sync` does not return meanwhile, and what waits is kept in
    memory; `room` is what holds the stream back then. All is tried again until it passes.
    Retention: the oldest are dropped by age and size, and `floor` moves.
    Threads: every method is called on the event loop's thread.
    Closing: whoever made the log calls `aclose`, once, after reading and appending have ended.
    """

    @property
    def epoch(self) -> int:
        """The epoch that appended Positions must carry; grows each time one begins."""

    @property
    def head(self) -> Position | None:
        """The last Position appended; None while the epoch has none."""

    @property
    def durable(self) -> Position | None:
        """The last Position that would survive a crash now; at most `head`."""

    @property
    def durable_lsn(self) -> int:
        """The LSN that may be confirmed; 0 while none is known.

        It survives with the changes. A slot confirmed beyond it was read by somebody else:
        changes are missing, and `begin_epoch` is due.
        """

    @property
    def floor(self) -> Position:
        """Reading after this Position, or any later one, is complete."""

    @property
    def secret(self) -> bytes:
        """32 random bytes that live as long as the log; cursors may be signed with them."""

    def append(self, batch: Batch) -> None:
        """Keep the changes, in memory first; `read` sees them at once."""

    async def room(self) -> None:
        """Return once what waits for the storage is below the high-water mark.

        Awaited before more is read from the stream. Cancelling has no effect.
        """

    async def sync(self) -> int:
        """Wait until more than at the last call is durable; return the LSN to be confirmed.

        The first call after opening returns at once what was durable before. One caller at a
        time; cancelling loses nothing. Raises ChangeLogError only when what was appended can
        never be kept, whatever the storage does; the log is to be opened anew then.
        """

    def read(
        self, after: Position, tables: Collection[TableName] | None
    ) -> AsyncGenerator[Change, None]:
        """The changes of these tables (None: of all) after a Position, in order.

        Ends with `head` as it was at the call, durable or not, so that what is appended later
        is live. A Position ahead of `head` gives nothing. Memory is bounded, the loop is never
        held for more than a few milliseconds, and nothing is held between two steps: the
        iterator may be dropped at any of them.

        Raises PositionGoneError at the first step if changes after the Position are no longer
        kept, or at the step where the reading meets damage or retention overtakes it.
        """

    def gone(self, after: Position) -> GoneReason | None:
        """Why reading after this Position can't be complete; None if nothing speaks against it.

        Tells at once what the first step of `read` would raise, but for damage.
        """

    def begin_epoch(self, *, system: str | None = None) -> int:
        """The LSN line broke: forget all changes, and return the new epoch.

        system: the name of the line that begins, None if it is called as before.

        Earlier Positions are gone from now on (reason "epoch"), `head` is None and
        `durable_lsn` 0.
        """

    def statistics(self) -> LogStatistics: ...

    async def aclose(self) -> None:
        """Try once more to make all durable, and let go of the storage."""


class Verdict(Enum):
    """What one identity may see of one change."""

    WITHHELD = "withheld"
    NEW_ONLY = "new only"  # the new row and the key of the old one (for a DELETE: the key)
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may see of a table, before any row is judged.

    columns: indexes of the columns it may read. judged: whether each row needs a verdict
    (row-level security applies to this role). reachable: false when the role has no USAGE on
    the schema; nothing is delivered then.
    """

    columns: frozenset[int]
    judged: bool = False
    reachable: bool = True


Judgement: TypeAlias = Verdict | asyncio.Future[Verdict]
"""A verdict, or the promise of one. A promise that fails means WITHHELD, and is reported."""


class Authorizer(Protocol):
    """Decides who sees what. Rights and rules belong to one Table object, so they change
    exactly where the stream says that the table may have changed."""

    async def table_changed(self, table: Table) -> None:
        """Read the table's rights and policies; awaited before any of its rows is dispatched.

        Raises DatabaseUnreachableError, and is then tried again: rows wait.
        """

    def follow(self, batch: Batch) -> None:
        """Take note of what the stream brings: of every batch, before any of it is judged.

        Never blocks.
        """

    async def admit(self, identity: Identity, table: Table) -> Rights:
        """Prepare for a listener, and say what its role may see.

        Raises UnknownRoleError, RoleForbiddenError, DatabaseUnreachableError.
        """

    def rights(self, table: Table, role: str) -> Rights:
        """What the role may see; known for every role once admitted. Never blocks."""

    def judge(
        self, change: Change, identities: Collection[Identity]
    ) -> Mapping[Identity, Judgement]:
        """Verdicts on one change for all of these identities, asked for together."""


class FilterOracle(Protocol):
    """Answers those filters whose meaning is PostgreSQL's alone (collations, regular
    expressions, types without a certain comparison)."""

    async def canonical(
        self, table: Table, conditions: Sequence[Condition]
    ) -> tuple[Condition, ...]:
        """The conditions with each value in the form that its column's type prints.

        Raises FilterValueError when a value, operator or pattern does not fit its column,
        with PostgreSQL's own words.
        """

    def matches(
        self, table: Table, row: Row, conditions: Sequence[Condition]
    ) -> asyncio.Future[bool]:
        """Whether the row fulfils all conditions; false where one is unknown (NULL).

        Questions of one loop turn are asked in one round trip. The future fails with
        UndecidedError when PostgreSQL gives no answer in time.
        """


class Seen(Protocol):
    """What a snapshot sees of the stream."""

    @property
    def end(self) -> int:
        """Commits at this LSN or behind it are not seen."""

    @property
    def undecided(self) -> Collection[int]:
        """Transactions, by their 32 bits, that are not seen and may stand in the stream before."""

    def sees(self, xid: int) -> bool:
        """Whether a committed transaction, by its 32 bits, is in the snapshot."""


class Snapshot(Protocol):
    """The database as one identity sees it at one moment."""

    @property
    def seen(self) -> Seen: ...

    def pages(
        self, table: Table, columns: Collection[int], conditions: Sequence[Condition]
    ) -> AsyncIterator[list[Row]]:
        """The table's rows, with these columns and the others UNKNOWN, a bounded number at once.

        conditions: may narrow what comes; whoever asks checks them all.
        Raises SnapshotError, DatabaseUnreachableError.
        """


class Snapshots(Protocol):
    """Opens snapshots. Few are open at once; the others wait."""

    def open(self, identity: Identity) -> AbstractAsyncContextManager[Snapshot]:
        """Raises SnapshotError, DatabaseUnreachableError."""


class Catalog(Protocol):
    """What the database says of its tables now (the stream says what they were)."""

    async def published(self, name: TableName) -> Table:
        """The table as subscribers would get it.

        Raises TableNotPublishedError, DatabaseUnreachableError.
        """

    async def publication(self) -> frozenset[TableName]:
        """All tables that the publication names now, partition roots as they are published."""


class BusListener(Protocol):
    """Whoever gets what nodes tell each other. Neither method may block or raise."""

    def take(self, post: Post) -> None: ...

    def node_left(self, node: str) -> None:
        """A node is gone, and with it all of its members."""


class Bus(Protocol):
    """Carries broadcasts and presence between the nodes of a deployment, this one included.

    Ordering: posts of one node arrive everywhere in the order in which it published them; those
    of different nodes in any. A node hears its own posts.
    Delivery: at most once. What is lost with a connection between nodes is lost; a node that
    joins late learns who is present from the others before it hears anything new.
    Blocking: `publish` never blocks.
    Threads: every method is called on the event loop's thread, and so is the listener.
    Closing: whoever made the bus calls `aclose`, once; nothing arrives after it.
    """

    @property
    def node(self) -> str:
        """A name of this node that no other has."""

    def attach(self, listener: BusListener) -> None:
        """Name the one listener, before the first post."""

    def publish(self, post: Post) -> None: ...

    async def aclose(self) -> None: ...


class Extension(StrEnum):
    """What a policy on `realtime.messages` tells apart: its column `extension`."""

    BROADCAST = "broadcast"
    PRESENCE = "presence"


@dataclass(frozen=True, slots=True)
class ChannelRights:
    """What an identity may read in a private topic."""

    broadcast: bool
    presence: bool


class ChannelPolicies(Protocol):
    """What identities may do in private topics. An answer is kept for a stated time, or until
    `forget`; those who ask the same at the same time share one question. Cancellation is safe.

    Both questions raise ChannelPolicyError when the policies give no answer, and
    DatabaseUnreachableError.
    """

    async def readable(self, identity: Identity, topic: str) -> ChannelRights: ...

    async def writable(self, identity: Identity, topic: str, extension: Extension) -> bool: ...

    def forget(self, identity: Identity, topic: str) -> None:
        """Ask again next time: the token was refreshed."""


class KeptMessages(Protocol):
    """The broadcasts that the database keeps."""

    async def replay(self, topic: str, since: float, limit: int) -> list[Broadcast]:
        """The last `limit` broadcasts of a private topic since a time, oldest first.

        since: Unix time in seconds. Each has its id, and says in its meta that it is replayed.
        Raises ReplayError, DatabaseUnreachableError.
        """
