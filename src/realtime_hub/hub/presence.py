"""Who is present in one room: what each member tracks, and how it changes.

    state  {key: {"metas": [{"phx_ref": .., ..}]}}
    diff   {"joins": {key: {"metas": [..]}}, "leaves": {key: {"metas": [..]}}}

Formats: Phoenix, `Phoenix.Presence`. Several members may share a key (tabs of one user): each
has a meta of its own under it. Changes gather until they are announced, so that a storm of joins
is told in few diffs; what comes and goes in between is not told at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

from realtime_hub.wire.broadcast import write

_OURS: Final = frozenset({"phx_ref", "phx_ref_prev"})

Refs: TypeAlias = dict[str, bytes]
"""Metas as JSON by their refs, oldest first."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What a member has tracked. ref: unique among all metas. content: a JSON object."""

    key: str
    ref: str
    content: bytes


def content_of(payload: Mapping[str, Any]) -> bytes:
    """A tracked payload as JSON, without what only the server may say; equal ones are equal.

    Raises:
        FrameError: it is too deep to be written again.
    """
    kept = {name: value for name, value in payload.items() if name not in _OURS}
    return write(kept, orjson.OPT_SORT_KEYS)


class Presence:
    """The presences of one room."""

    def __init__(self) -> None:
        self._tracked: dict[Hashable, Tracked] = {}
        self._announced: dict[str, Refs] = {}
        self._joins: dict[str, tuple[str, bytes]] = {}
        self._leaves: dict[str, tuple[str, bytes]] = {}
        self._previous: dict[str, str] = {}
        self._state: bytes | None = b"{}"

    @property
    def empty(self) -> bool:
        return not self._tracked and not self.changed

    @property
    def changed(self) -> bool:
        """Whether something waits to be announced."""
        return bool(self._joins or self._leaves)

    @property
    def members(self) -> Iterable[Hashable]:
        return list(self._tracked)

    def tracked(self, member: Hashable) -> Tracked | None:
        return self._tracked.get(member)

    def track(self, member: Hashable, tracked: Tracked) -> bool:
        """Note what a member tracks; False if it is what it tracked already.

        An update is the old meta's leave and the new one's join, with `phx_ref_prev`.
        """
        before = self._tracked.get(member)
        if before is not None and (before.key, before.content) == (tracked.key, tracked.content):
            return False
        previous = None if before is None else self._drop(before)
        self._tracked[member] = tracked
        if previous is not None:
            self._previous[tracked.ref] = previous
        self._joins[tracked.ref] = tracked.key, _meta(tracked, previous)
        return True

    def untrack(self, member: Hashable) -> bool:
        """Forget what a member tracked; False if it tracked nothing."""
        before = self._tracked.pop(member, None)
        if before is None:
            return False
        self._drop(before)
        return True

    def state(self) -> bytes:
        """Everybody as announced, JSON. Whoever gets it, and every diff from now on, knows all."""
        if self._state is None:
            listed = (
                (key, meta) for key, refs in self._announced.items() for meta in refs.values()
            )
            self._state = _grouped(listed)
        return self._state

    def announce(self) -> bytes | None:
        """What has changed since the last time, as a diff in JSON; None if nothing has."""
        if not self.changed:
            return None
        joins, leaves = self._joins, self._leaves
        self._joins, self._leaves, self._state = {}, {}, None
        self._previous.clear()
        for ref, (key, meta) in joins.items():
            self._announced.setdefault(key, {})[ref] = meta
        for ref, (key, _) in leaves.items():
            refs = self._announced[key]
            del refs[ref]
            if not refs:
                del self._announced[key]
        parts = _grouped(joins.values()), _grouped(leaves.values())
        return b'{"joins":%b,"leaves":%b}' % parts

    def _drop(self, tracked: Tracked) -> str | None:
        """Take a meta away; returns the ref that others know in its place, if they know one."""
        ref = tracked.ref
        if self._joins.pop(ref, None) is not None:
            return self._previous.pop(ref, None)
        self._leaves[ref] = tracked.key, self._announced[tracked.key][ref]
        return ref


def _meta(tracked: Tracked, previous: str | None) -> bytes:
    refs = {"phx_ref": tracked.ref}
    if previous is not None:
        refs["phx_ref_prev"] = previous
    written = orjson.dumps(refs)
    return written if tracked.content == b"{}" else written[:-1] + b"," + tracked.content[1:]


def _grouped(metas: Iterable[tuple[str, bytes]]) -> bytes:
    by_key: dict[str, list[bytes]] = {}
    for key, meta in metas:
        by_key.setdefault(key, []).append(meta)
    entries = (
        b'%b:{"metas":[%b]}' % (orjson.dumps(key), b",".join(listed))
        for key, listed in by_key.items()
    )
    return b"{%b}" % b",".join(entries)
