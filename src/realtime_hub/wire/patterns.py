"""LIKE without PostgreSQL, for those patterns whose cost is bounded and meaning certain.

Source: PostgreSQL documentation, "LIKE". `%` stands for any text, `_` for one character.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_WILDCARD: Final = "_"


def like_matcher(pattern: str) -> Callable[[bytes], bool] | None:
    """The test for a pattern, on text in UTF-8; None if PostgreSQL must be asked.

    A backslash escapes, and at the pattern's end is an error of SQL: such patterns are asked.
    So are those with `_` in a piece that may stand anywhere, for which the search could take
    the text's length times the pattern's.
    """
    first, *rest = pattern.split("%")
    if "\\" in pattern or any(_WILDCARD in piece for piece in rest[:-1]):
        return None
    if not rest:
        return lambda value: _whole(first, _text(value))
    *middle, last = rest

    def test(value: bytes) -> bool:
        text = _text(value)
        tail = len(text) - len(last)
        if tail < len(first) or not _at(first, text, 0) or not _at(last, text, tail):
            return False
        return _in_turn(middle, text, len(first), tail)

    return test


def _text(value: bytes) -> str:
    # A database in SQL_ASCII may hold anything.
    return value.decode(errors="surrogateescape")


def _whole(piece: str, text: str) -> bool:
    return len(piece) == len(text) and _at(piece, text, 0)


def _at(piece: str, text: str, start: int) -> bool:
    if _WILDCARD not in piece:
        return text.startswith(piece, start)
    part = text[start : start + len(piece)]
    return all(p in (_WILDCARD, t) for p, t in zip(piece, part, strict=True))


def _in_turn(pieces: list[str], text: str, start: int, end: int) -> bool:
    """Whether the pieces follow one another in the text: each as far left as it can be."""
    for piece in pieces:
        found = text.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True
