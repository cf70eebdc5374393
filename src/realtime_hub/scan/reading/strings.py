"""Escapes in the text of string literals."""

from __future__ import annotations

import re
from typing import Final

_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_CODE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\})")


def unescaped(text: str) -> str:
    r"""What an escape such as `\n`, `\x41`, `\u00e9` or `\'` stands for.

    >>> unescaped(r"\u{e9}")
    'é'
    """
    found = _CODE.fullmatch(text)
    if found:
        code = int(next(group for group in found.groups() if group), 16)
        return chr(code) if code <= 0x10FFFF else text
    rest = text[1:]
    return "" if rest in {"\n", "\r\n"} else _SIMPLE.get(rest, rest)
