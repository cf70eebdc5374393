"""Writes subscriptions so that handlers keep both their text and their place in the lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from realtime_hub.migrate.typescript.chain import Listener
from realtime_hub.migrate.typescript.tree import Tree

_WIDTH: Final = 100


class Layout:
    """Subscriptions of one hub in one file."""

    def __init__(self, tree: Tree, hub: str) -> None:
        self._tree = tree
        self._hub = hub

    def one(self, listener: Listener, column: int) -> str:
        """An expression that begins in a column; a chain's call on a line of its own stays there,
        if the handler's lines go by it."""
        handler = self._handler(listener)
        dot = self._before_dot(listener)
        text = f"{self._hub}.{self._call(listener, column)}"
        if "\n" in handler and "\n" in dot:
            return f"{self._hub}{dot}.{self._call(listener, column)}"
        return text

    def several(self, listeners: Sequence[Listener], indent: str) -> str:
        """An array of what `one` gives; indent: of the line that it begins in."""
        newline = self._tree.newline
        inner = self._inner(listeners, indent)
        items = "".join(
            "".join(f"{inner}{each}{newline}" for each in listener.comments)
            + f"{inner}{self._hub}.{self._call(listener, len(inner))},{newline}"
            for listener in listeners
        )
        return f"[{newline}{items}{indent}]"

    def statements(self, listeners: Sequence[Listener], indent: str, ending: str) -> str:
        """One statement each, without the first's indent and the last's ending."""
        newline = self._tree.newline
        parts: list[str] = []
        for listener in listeners:
            parts += [*listener.comments, self.one(listener, len(indent)) + ending]
        return f"{newline}{indent}".join(parts).removesuffix(ending)

    def _inner(self, listeners: Sequence[Listener], indent: str) -> str:
        for listener in listeners:
            dot = self._before_dot(listener)
            if "\n" in dot:
                return dot.rpartition("\n")[2]
        return indent + ("\t" if "\t" in indent else "  ")

    def _before_dot(self, listener: Listener) -> str:
        """White space before the dot, from the line's end that is before it."""
        text = self._tree.text
        dot = text.index(".", self._dot(listener))
        begin = self._tree.line_start(dot)
        if text[begin:dot].strip():
            return ""
        return self._tree.newline + text[begin:dot]

    def _dot(self, listener: Listener) -> int:
        """Behind comments that stand before the dot."""
        function = listener.link.call.field("function")
        dots = (
            [] if function is None else [n for n in function.children() if n.text() in {".", "?."}]
        )
        return dots[-1].range().start.index if dots else listener.link.dot

    def _handler(self, listener: Listener) -> str:
        return self._tree.text[listener.handler.start : listener.handler.end]

    def _call(self, listener: Listener, column: int) -> str:
        handler = self._handler(listener)
        parts = [listener.table, listener.event, handler]
        parts += [listener.options] if listener.options else []
        head = f"subscribe{listener.generics}("
        flat = f"{head}{', '.join(parts)})"
        lead, tail = self._own_lines(listener)
        long = column + len(self._hub) + len(flat) + 2 > _WIDTH
        if lead and ("\n" in handler or long):
            return f"{head}{lead}{f',{lead}'.join(parts)}{tail})"
        return flat

    def _own_lines(self, listener: Listener) -> tuple[str, str]:
        """What is before each argument and behind the last, if they have lines of their own."""
        text, at = self._tree.text, listener.handler.start
        begin = self._tree.line_start(at)
        if text[begin:at].strip():
            return "", ""
        close = listener.link.call.range().end.index - 1
        behind = text[listener.handler.end : close]
        end = self._tree.line_start(close)
        tail = "," if "," in behind else ""
        if end > listener.handler.end:
            tail += self._tree.newline + text[end:close]
        return self._tree.newline + text[begin:at], tail
