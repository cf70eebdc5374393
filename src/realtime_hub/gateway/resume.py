"""Where clients that name themselves have come to, topic by topic, so that they can go on.

A client of the `resume` connection parameter need not know of cursors: it answers pings, as
every WebSocket does, and each answer acknowledges what was sent before the ping. The name is
no secret and gives no rights: it counts for the role and the subject that first used it, and
what is replayed is judged by their rights of today.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeVar

import structlog

from realtime_hub.identity import Identity
from realtime_hub.lsn import ORIGIN, Position

log = structlog.get_logger(__name__)

T = TypeVar("T")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
SAVE_SECONDS: Final = 0.5
_SWEEP_SECONDS: Final = 60.0
_SIGHTINGS: Final = 10
"""How often in `max_age` it is written down that somebody is still here."""


class ResumeKey(NamedTuple):
    """Whose places these are."""

    name: str
    role: str
    subject: str

    @classmethod
    def of(cls, name: str, identity: Identity) -> ResumeKey:
        return cls(name, identity.role, identity.subject)


@dataclass(frozen=True, slots=True)
class ResumeRecord:
    """What is kept of one key.

    seen: when it was last in use, seconds since the Unix epoch. untold: topics that lack changes
    before their place, which their client is not known to have been told.
    """

    key: ResumeKey
    places: Mapping[str, Position]
    seen: float
    untold: frozenset[str] = frozenset()


class ResumeStore(Protocol):
    """Keeps records past the end of the process. Called in one thread, which is not the loop's.

    Storage that fails raises OSError; what was not saved is handed over again.
    """

    def load(self) -> list[ResumeRecord]:
        """All records that are whole. One that is damaged is as one that never was."""

    def save(self, records: list[ResumeRecord], forget: list[ResumeKey]) -> None:
        """Replace these records and delete those, durably and all at once."""

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class Resumable:
    """The places of one key, in the hands of one connection.

    places: ORIGIN for a topic that was joined, and nobody knows from where on. untold: as in
    the record. known: it was there before that connection came, with nothing missing in any of
    its topics. replaced: called when another takes it. max_topics: how many are kept; those
    joined longest ago go first.
    """

    key: ResumeKey
    places: dict[str, Position]
    untold: set[str]
    seen: float
    known: bool
    max_topics: int
    replaced: Callable[[], None]
    changed: Callable[[Resumable], None] = field(repr=False)

    def begin(self, topic: str, place: Position, *, gap: bool = False) -> None:
        """The topic is joined and goes on from here, unless more is acknowledged already.

        gap: changes before this place are missing, and the client has yet to hear of it.
        """
        if gap:
            self.untold.add(topic)
        known = self.places.pop(topic, ORIGIN)
        self.places[topic] = place if known == ORIGIN else known
        while len(self.places) > self.max_topics:
            self.forget(next(iter(self.places)))
        self.changed(self)

    def acknowledge(self, topic: str, place: Position) -> None:
        """The client has everything of the topic up to here; ignored for topics that it left."""
        known = self.places.get(topic)
        if known is not None and (place > known or topic in self.untold):
            self.places[topic] = max(place, known)
            self.untold.discard(topic)
            self.changed(self)

    def forget(self, topic: str) -> None:
        """The client has left: should it come back, it begins anew."""
        self.untold.discard(topic)
        if self.places.pop(topic, None) is not None:
            self.changed(self)


class ResumeBook:
    """All resumable clients. `run` saves them every half second while it runs.

    max_age: seconds after which who did not come back is forgotten. max_entries: how many are
    kept; the longest unseen go first. max_topics: of each, more than one connection may join.
    clock: seconds since the Unix epoch, not moved by steps of the system's.
    """

    def __init__(
        self,
        store: ResumeStore,
        *,
        max_age: float,
        clock: Callable[[], float],
        max_entries: int = 100_000,
        max_topics: int = 200,
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_age = max_age
        self._max_entries = max_entries
        self._max_topics = max_topics
        self._entries: dict[ResumeKey, Resumable] = {}
        self._unsaved: dict[ResumeKey, Resumable] = {}
        self._forgotten: list[ResumeKey] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="resume-places")
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    async def load(self) -> None:
        """Take over what an earlier process kept. Raises OSError."""
        oldest = self._clock() - self._max_age
        for record in sorted(await self._in_thread(self._store.load), key=lambda r: r.seen):
            if record.seen >= oldest:
                self._entries[record.key] = self._made(record)
            else:
                self._forgotten.append(record.key)

    def claim(self, key: ResumeKey, replaced: Callable[[], None]) -> Resumable:
        """Take the key's places over; whoever had them is told."""
        entry = self._entries.pop(key, None)
        if entry is None:
            entry = self._made(ResumeRecord(key, {}, self._clock()))
        else:
            entry.known = not entry.untold and ORIGIN not in entry.places.values()
            holder, entry.replaced = entry.replaced, _nobody
            if holder != replaced:
                holder()
        entry.replaced = replaced
        self._entries[key] = entry  # at the end: the first are those longest unseen
        self._changed(entry)
        return entry

    def release(self, entry: Resumable, replaced: Callable[[], None]) -> None:
        """Its connection is gone; the places stay."""
        if entry.replaced == replaced:
            entry.replaced = _nobody
            self._changed(entry)

    async def run(self) -> None:
        """Save what has changed; runs until cancelled."""
        loop = asyncio.get_running_loop()
        swept = loop.time()
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if loop.time() - swept >= _SWEEP_SECONDS:
                swept = loop.time()
                self._sweep()
            await self.save()

    async def save(self) -> None:
        """Make all durable; trouble with the storage is logged, and it is tried again later."""
        changed, self._unsaved = self._unsaved, {}
        forgotten = [key for key in self._forgotten if key not in self._entries]
        self._forgotten = []
        if not changed and not forgotten:
            return
        records = [_record(entry) for entry in changed.values()]
        try:
            await self._in_thread(self._store.save, records, forgotten)
        except (OSError, asyncio.CancelledError) as error:
            self._unsaved = changed | self._unsaved
            self._forgotten += forgotten
            if not isinstance(error, OSError):
                raise  # whether they are saved is not known: they are once more
            log.warning("resume_places_not_saved", error=str(error), clients=len(records))

    async def aclose(self) -> None:
        """Save once more; closing what is closed does nothing."""
        if not self._closed:
            await self.save()
            await self._in_thread(self._store.close)
            self._thread.shutdown()
            self._closed = True

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Work that was begun goes on though the caller is cancelled; what comes then waits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _made(self, record: ResumeRecord) -> Resumable:
        return Resumable(
            record.key,
            dict(record.places),
            set(record.untold),
            seen=record.seen,
            known=False,
            max_topics=self._max_topics,
            replaced=_nobody,
            changed=self._changed,
        )

    def _changed(self, entry: Resumable) -> None:
        entry.seen = self._clock()
        self._unsaved[entry.key] = entry

    def _sweep(self) -> None:
        """Forget who has not come back in time, and the longest unseen where there are too many.

        Who is here is seen, however long nothing has changed: the next process is to know.
        """
        now, surplus = self._clock(), len(self._entries) - self._max_entries
        for key, entry in list(self._entries.items()):
            age = now - entry.seen
            if entry.replaced is not _nobody:
                if age > self._max_age / _SIGHTINGS:
                    self._changed(entry)
            elif surplus > 0 or age > self._max_age:
                del self._entries[key]
                self._unsaved.pop(key, None)
                self._forgotten.append(key)
                surplus -= 1


class ForgetfulStore:
    """Keeps nothing: for logs that do not outlive the process either."""

    def load(self) -> list[ResumeRecord]:
        return []

    def save(self, records: list[ResumeRecord], forget: list[ResumeKey]) -> None:
        pass

    def close(self) -> None:
        pass


def _record(entry: Resumable) -> ResumeRecord:
    return ResumeRecord(entry.key, dict(entry.places), entry.seen, frozenset(entry.untold))


def _nobody() -> None:
    """Holds a key that no connection has."""
