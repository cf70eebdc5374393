"""Log sequence numbers and the positions built on them.

An LSN is an ``int`` here and `X/Y` hexadecimal text at the edges, the form that
PostgreSQL prints (documentation, "pg_lsn Type").
"""

from __future__ import annotations

from typing import NamedTuple

from realtime_hub.errors import LsnError

_MAX_LSN = (1 << 64) - 1


def parse_lsn(text: str) -> int:
    """Read PostgreSQL's `X/Y` form.

    >>> parse_lsn("16/B374D848")
    97500059720

    Raises:
        LsnError: the text is not an LSN.
    """
    high, slash, low = text.partition("/")
    if slash and 0 < len(high) <= 8 and 0 < len(low) <= 8:
        try:
            return (int(high, 16) << 32) | int(low, 16)
        except ValueError:
            pass
    raise LsnError(text)


def format_lsn(lsn: int) -> str:
    """Write PostgreSQL's `X/Y` form.

    >>> format_lsn(97500059720)
    '16/B374D848'
    """
    if not 0 <= lsn <= _MAX_LSN:
        raise LsnError(str(lsn))
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


class Position(NamedTuple):
    """Where a change stands; positions order all changes and are the same on every reading.

    epoch: counts breaks of the LSN line (slot made anew, database restored).
    lsn: the commit LSN of the transaction, which its Begin message already carries.
    ordinal: of the row message within its transaction, from 0.
    """

    epoch: int
    lsn: int
    ordinal: int

    def __str__(self) -> str:
        return f"{self.epoch}:{format_lsn(self.lsn)}:{self.ordinal}"


ORIGIN = Position(0, 0, 0)
