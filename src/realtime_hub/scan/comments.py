"""Realtime code that is commented out: comments are read as the code that they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from realtime_hub.scan.languages import parsed
from realtime_hub.scan.syntax import Comment, Module

_CODE: Final = re.compile(
    r"\.\s*channel\s*\(|postgres_changes['\"]|\.\s*onPostgresChanges\(|\.\s*stream\(\s*primaryKey"
)
_NOT_LINE_END: Final = re.compile(r"[^\n]")
_MARKERS: Final = re.compile(r"^[ \t]*(//+|\*(?!/)|#+)", re.MULTILINE)


def commented_out(module: Module) -> Iterator[Module]:
    """A module for each block of comments that seems to hold Realtime code; offsets and lines are
    those of the file."""
    for block in _blocks(module):
        inside = "".join(module.source[c.start : c.end] for c in block)
        if not _CODE.search(inside) or inside.startswith("/**"):
            continue
        text = _uncovered(module.source, block)
        try:
            yield parsed(module.path, module.language, module.source, text)
        except RecursionError:
            continue


def _blocks(module: Module) -> Iterator[list[Comment]]:
    """Comments with nothing but white space between them."""
    block: list[Comment] = []
    for comment in sorted(module.comments, key=lambda each: each.start):
        if block and module.source[block[-1].end : comment.start].strip():
            yield block
            block = []
        block.append(comment)
    if block:
        yield block


def _uncovered(source: str, block: list[Comment]) -> str:
    """The comments' insides; all else, and the marks of comments, blanked."""
    kept: list[str] = []
    position = 0
    for comment in block:
        kept.append(_blank(source[position : comment.start]))
        text = source[comment.start : comment.end]
        if text.startswith("/*"):
            text = "  " + text[2:-2] + "  "
        kept.append(_MARKERS.sub(lambda found: " " * len(found[0]), text))
        position = comment.end
    text = "".join(kept)
    return text + _blank(source[len(text) :])


def _blank(text: str) -> str:
    return _NOT_LINE_END.sub(" ", text)
