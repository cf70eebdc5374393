"""Rewrites the channels of one file of Python."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from realtime_hub.migrate.hubs import Hub, HubOf
from realtime_hub.migrate.model import Edit, Left, LeftError, Moved, Rewritten, edited
from realtime_hub.migrate.python.holder import Closing, Elsewhere, Holder, holder_of
from realtime_hub.migrate.python.imports import Imports
from realtime_hub.migrate.python.listeners import Listener, step_of
from realtime_hub.migrate.python.part import Part, Step, complete, part_of
from realtime_hub.migrate.python.source import Source
from realtime_hub.scan.model import Channel

_STOPS: Final = ("stop", "unsubscribe", "stop_listening", "unsubscribe_from_it")


def rewritten(
    text: str, channels: Sequence[Channel], hub_of: HubOf, elsewhere: Elsewhere
) -> Rewritten:
    """Rewrite what can be rewritten safely.

    Raises:
        RecursionError: the file is nested too deeply.
    """
    try:
        source = Source(text)
    except (SyntaxError, ValueError):
        left = [Left(each.file, each.line, "its file does not parse") for each in channels]
        return Rewritten(text, (), left)
    return _File(source, hub_of, elsewhere).rewritten(channels)


class _File:
    def __init__(self, source: Source, hub_of: HubOf, elsewhere: Elsewhere) -> None:
        self._source = source
        self._hub_of = hub_of
        self._elsewhere = elsewhere
        self._taken = source.names()
        self._given: list[tuple[str, tuple[int, int]]] = []
        self._imports = Imports(source)
        self._edits: list[Edit] = []
        self._moved: list[Moved] = []
        self._left: list[Left] = []

    def rewritten(self, channels: Sequence[Channel]) -> Rewritten:
        groups = self._groups(channels)
        closings = {
            self._source.span(closing.statement)
            for _, holder in groups
            for closing in (holder.closings if holder else ())
        }
        for parts, holder in groups:
            wanted = self._imports.wanted.copy()
            try:
                self._check_closings(parts, closings)
                edits = list(self._rewrite(parts, holder))
                edited(self._source.text, [*self._edits, *edits])  # they do not overlap
            except LeftError as error:
                self._imports.wanted = wanted
                for part in parts:
                    self._leave(part.channel, str(error))
                continue
            self._edits += edits
            for part in parts:
                tables = [str(binding.table.text) for binding in part.channel.bindings]
                self._moved.append(Moved(part.channel.file, part.channel.line, tables))
        text = self._source.text
        if not self._moved:
            return Rewritten(text, (), self._left)
        after = self._imports.without_unused(edited(text, [*self._edits, *self._imports.added()]))
        return Rewritten(after, self._moved, self._left)

    def _leave(self, channel: Channel, reason: str) -> None:
        self._left.append(Left(channel.file, channel.line, reason))

    def _groups(self, channels: Sequence[Channel]) -> list[tuple[list[Part], Holder | None]]:
        """Channels that are put into the same variable go together."""
        groups: dict[object, tuple[list[Part], Holder | None]] = {}
        for channel in channels:
            try:
                part = part_of(self._source, channel)
                key: object = id(part)
                holder = None
                if part.target is not None:
                    holder = holder_of(self._source, part.target, self._elsewhere)
                    key = (holder.name, id(holder.scope))
            except LeftError as error:
                self._leave(channel, str(error))
                continue
            groups.setdefault(key, ([], holder))[0].append(part)
        return list(groups.values())

    def _rewrite(self, parts: list[Part], holder: Holder | None) -> Iterator[Edit]:
        hub = self._hub(parts)
        if holder is not None:
            self._check(parts, holder)
        for part in parts:
            complete(self._source, part, holder)
        several = any(len(part.listeners) > 1 for part in parts)
        names = self._imports.names(hub, self._taken)
        writer = _Writer(self._source, *names, several)
        if holder is None:
            yield from writer.statements(parts[0])
            return
        kept = [span for part in parts for each in part.listeners for span in each.kept]
        for use in holder.uses:
            if any(begin <= self._source.start(use) < finish for begin, finish in kept):
                raise LeftError(f"a handler uses it (line {use.lineno})")
        yield from self._held(parts, holder, self._named(holder, several), writer)

    def _named(self, holder: Holder, several: bool) -> str:
        """A name that is free where the holder is known."""
        taken = self._source.members() if holder.is_attribute else self._taken
        begin, finish = holder.extent
        name = holder.new_name(
            several,
            lambda name: (
                name in taken
                or any(
                    name == given and begin < end and start < finish
                    for given, (start, end) in self._given
                )
            ),
        )
        self._given.append((name, (begin, finish)))
        return name

    def _hub(self, parts: list[Part]) -> Hub:
        text = self._source.text
        clients = [part.channel.client for part in parts]
        hubs = {self._hub_of(text[client.start : client.end]) for client in clients}
        if len(hubs) > 1:
            raise LeftError("its variable holds channels of several clients")
        hub = hubs.pop()
        if hub.is_module(parts[0].channel.file):
            raise LeftError("it stands in the hub's own module")
        return hub

    def _check(self, parts: list[Part], holder: Holder) -> None:
        if len(holder.values) != len(parts):
            raise LeftError(f"{holder.name} also holds something else")
        if len(parts) > 1 and not all(part.steps[0].opens for part in parts):
            raise LeftError(f"{holder.name} holds several channels")

    def _check_closings(self, parts: list[Part], known: Collection[tuple[int, int]]) -> None:
        """Every call that a scan takes for its closing is one that a variable's end is seen in."""
        for closing in (each for part in parts for each in part.channel.closings):
            if not any(begin <= closing.call.start < finish for begin, finish in known):
                raise LeftError(f"it is closed by way of another value (line {closing.line})")

    def _held(
        self, parts: list[Part], holder: Holder, name: str, writer: _Writer
    ) -> Iterator[Edit]:
        edits = [edit for part in parts for edit in writer.held(part, holder.name, name)]
        edits += [writer.closed(closing, holder.name, name) for closing in holder.closings]
        yield from edits

        def stays(edit: Edit) -> bool:
            return not any(each.start <= edit.start < each.end for each in edits)

        kind = ""
        if any(map(stays, holder.retyped(kind, writer.several))):
            kind = self._imports.subscription(self._taken)
        yield from filter(stays, (*holder.renamed(name), *holder.retyped(kind, writer.several)))


class _Writer:
    """Writes subscriptions in the place of channels. several: a list of them is kept."""

    def __init__(self, source: Source, hub: str, payloads: str, several: bool) -> None:
        self._source = source
        self._hub = hub
        self._payloads = payloads
        self.several = several

    def statements(self, part: Part) -> Iterator[Edit]:
        """A channel that nothing holds: one statement each."""
        (step,) = part.steps
        indent = self._source.indent(self._source.start(step.statement))
        calls = [f"await {self._call(each, indent, 6)}" for each in step.listeners]
        yield self._replaced(step, calls)

    def held(self, part: Part, held: str, name: str) -> Iterator[Edit]:
        """A channel in a variable, and statements that bind and open it. name: its new one."""
        source = self._source
        target = "" if part.target is None else source.of(part.target)
        target = target.removesuffix(held) + name
        for place, step in enumerate(part.steps):
            indent = source.indent(source.start(step.statement))
            if not self.several:
                head = f"{target} = await "
                lines = [head + self._call(each, indent, len(head)) for each in step.listeners]
            elif place:
                lines = [self._appended(target, each, indent) for each in step.listeners]
            else:
                lines = [f"{target} = {self._list(step, indent)}"]
            yield self._replaced(step, lines)

    def _appended(self, target: str, listener: Listener, indent: str) -> str:
        newline, inner = self._source.newline, indent + step_of(indent)
        head = f"{target}.append(await "
        flat = self._call(listener, indent, len(head) + 1)
        if newline not in flat:
            return f"{head}{flat})"
        call = self._call(listener, inner, 6)
        return f"{target}.append({newline}{inner}await {call}{newline}{indent})"

    def _list(self, step: Step, indent: str) -> str:
        newline, inner = self._source.newline, indent + step_of(indent)
        items = [f"{inner}await {self._call(each, inner, 6)},{newline}" for each in step.listeners]
        return f"[{newline}{''.join(items)}{indent}]" if items else "[]"

    def closed(self, closing: Closing, held: str, name: str) -> Edit:
        source = self._source
        begin, finish = source.span(closing.statement)
        target = source.of(closing.held).removesuffix(held) + name
        if not self.several:
            return Edit(begin, finish, f"{target}()")
        if not source.alone(closing.statement):
            raise LeftError(f"its closing shares a line (line {closing.statement.lineno})")
        indent = source.indent(begin)
        taken = source.names() | {name}
        numbered = (f"stop_{number}" for number in itertools.count(2))
        stop = next(each for each in itertools.chain(_STOPS, numbered) if each not in taken)
        body = f"for {stop} in {target}:{source.newline}{indent}{step_of(indent)}{stop}()"
        return Edit(begin, finish, body)

    def _call(self, listener: Listener, indent: str, head: int) -> str:
        column = len(indent) + head
        return listener.call(self._hub, self._payloads, indent, self._source.newline, column)

    def _replaced(self, step: Step, lines: list[str]) -> Edit:
        """The statement gives way to lines, behind the comments that stood in it."""
        source = self._source
        begin, finish = source.span(step.statement)
        kept = [span for each in step.listeners for span in each.kept]
        comments = [
            text
            for offset, text in source.comments(begin, finish)
            if not any(start <= offset < end for start, end in kept)
        ]
        if not source.alone(step.statement) and (comments or len(lines) != 1):
            raise LeftError(f"it shares a line with others (line {step.statement.lineno})")
        lines = [*comments, *lines]
        indent = source.indent(begin)
        if lines:
            return Edit(begin, finish, f"{source.newline}{indent}".join(lines))
        return self._deleted(begin, finish)

    def _deleted(self, begin: int, finish: int) -> Edit:
        """With its line, unless a comment has a part of that."""
        source = self._source
        line_end = source.line_end(finish)
        comment = source.text[finish:line_end].lstrip(" \t")
        if comment:
            return Edit(begin, line_end - len(comment), "")
        behind = source.text.find("\n", line_end)
        return Edit(source.line_start(begin), len(source.text) if behind < 0 else behind + 1, "")
