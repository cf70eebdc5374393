"""What stands in the log's file beside the rows: its state, a header for each chunk, and seals.

A chunk is a run of consecutive changes, stored as one blob. Chunks are numbered without gaps
and each header names the last Position of its predecessor, so a reading can prove that it
missed nothing. Every blob is sealed with a BLAKE2b digest of itself, its kind and its number:
SQLite keeps torn writes out, but does not notice a flipped bit.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from realtime_hub.hub.ports import GoneReason
from realtime_hub.lsn import Position

FORMAT: Final = 1
_REASONS: Final[tuple[GoneReason, ...]] = ("retention", "epoch", "corrupt")
_DIGEST: Final = 16


class DamagedError(Exception):
    """A blob is not what was written; never leaves this package."""


def seal(kind: bytes, number: int, body: bytes) -> bytes:
    """The body with its digest behind it. kind: at most 16 bytes."""
    return body + _digest(kind, number, body)


def unseal(kind: bytes, number: int, sealed: object) -> bytes:
    """The body again.

    Raises:
        DamagedError: these are not the bytes that were sealed under this kind and number.
    """
    if not isinstance(sealed, bytes) or len(sealed) < _DIGEST:
        raise DamagedError
    body = sealed[:-_DIGEST]
    if not hmac.compare_digest(_digest(kind, number, body), sealed[-_DIGEST:]):
        raise DamagedError
    return body


def _digest(kind: bytes, number: int, body: bytes) -> bytes:
    salt = number.to_bytes(8, "big")
    return hashlib.blake2b(body, digest_size=_DIGEST, person=kind, salt=salt).digest()


class Header(NamedTuple):
    """One chunk: what lies in it and before it.

    previous: the last Position before `first`, or the floor that its epoch began with.
    written: when, milliseconds since the Unix epoch by our clock; age is counted from it.
    committed: commit time of the first change, microseconds. size: of the rows, in bytes.
    tables: numbers of the Tables that the rows belong to.
    """

    number: int
    first: Position
    last: Position
    previous: Position
    written: int
    committed: int
    changes: int
    size: int
    tables: tuple[int, ...]


_HEADER: Final = struct.Struct(">QQIQIQIQqII")


def encode_header(header: Header) -> bytes:
    body = _HEADER.pack(
        header.first.epoch,
        *header.first[1:],
        *header.last[1:],
        *header.previous[1:],
        header.written,
        header.committed,
        header.changes,
        header.size,
    ) + struct.pack(f">{len(header.tables)}I", *header.tables)
    return seal(b"header", header.number, body)


def decode_header(number: int, sealed: object) -> Header:
    """Read a header.

    Raises:
        DamagedError: it is not what was written.
    """
    body = unseal(b"header", number, sealed)
    epoch, first, first_at, last, last_at, previous, previous_at, written, committed, n, size = (
        _HEADER.unpack_from(body)
    )
    return Header(
        number=number,
        first=Position(epoch, first, first_at),
        last=Position(epoch, last, last_at),
        previous=Position(epoch, previous, previous_at),
        written=written,
        committed=committed,
        changes=n,
        size=size,
        tables=struct.unpack(f">{(len(body) - _HEADER.size) // 4}I", body[_HEADER.size :]),
    )


@dataclass(frozen=True, slots=True)
class State:
    """The log as a whole; written with every transaction.

    system: whose WAL this is, as the opener says. floor, reason: reading after the floor is
    complete, and why it is not before. head: the last Position of the epoch, its origin while
    it has none. first, next: chunks from `first` up to before `next` are kept.
    """

    system: str
    secret: bytes
    epoch: int
    durable_lsn: int
    floor: Position
    reason: GoneReason
    head: Position
    first: int
    next: int

    @classmethod
    def new(cls, system: str, secret: bytes, epoch: int) -> State:
        origin = Position(epoch, 0, 0)
        return cls(system, secret, epoch, 0, origin, "epoch", origin, 1, 1)

    def in_epoch(self, epoch: int) -> State:
        """The same log in a new epoch, which keeps nothing of those before."""
        fresh = State.new(self.system, self.secret, epoch)
        return replace(fresh, first=self.next, next=self.next)

    def emptied(self) -> State:
        """The same log at the same place of the stream, with what it kept given up as damaged."""
        return replace(self, first=self.next, floor=self.head, reason="corrupt")

    @property
    def last(self) -> Position | None:
        """The last Position of the epoch; None while it has none."""
        return self.head if self.head.lsn else None


_STATE: Final = struct.Struct(">32sQQQIBQIQQ")


def encode_state(state: State) -> bytes:
    body = _STATE.pack(
        state.secret,
        state.epoch,
        state.durable_lsn,
        *state.floor[1:],
        _REASONS.index(state.reason),
        *state.head[1:],
        state.first,
        state.next,
    )
    return seal(b"state", FORMAT, body + state.system.encode())


def decode_state(sealed: object) -> State:
    """Read the state.

    Raises:
        DamagedError: it is not what was written, or of another format.
    """
    body = unseal(b"state", FORMAT, sealed)
    secret, epoch, durable, floor, floor_at, reason, head, head_at, first, following = (
        _STATE.unpack_from(body)
    )
    return State(
        system=body[_STATE.size :].decode(),
        secret=secret,
        epoch=epoch,
        durable_lsn=durable,
        floor=Position(epoch, floor, floor_at),
        reason=_REASONS[reason],
        head=Position(epoch, head, head_at),
        first=first,
        next=following,
    )
