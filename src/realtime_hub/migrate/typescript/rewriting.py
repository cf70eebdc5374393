"""Rewrites the channels of one file of TypeScript or JavaScript."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.migrate.hubs import Hub, HubOf
from realtime_hub.migrate.model import Edit, Left, LeftError, Moved, Rewritten, edited
from realtime_hub.migrate.typescript import imports
from realtime_hub.migrate.typescript.chain import Listener, comments
from realtime_hub.migrate.typescript.holder import Holder, closing_edit, holder_of
from realtime_hub.migrate.typescript.imports import deletion
from realtime_hub.migrate.typescript.layout import Layout
from realtime_hub.migrate.typescript.naming import Names
from realtime_hub.migrate.typescript.parts import BLOCKS, Part, in_handler, part_of, read
from realtime_hub.migrate.typescript.tree import Tree, around, end, start
from realtime_hub.scan.languages import read_module
from realtime_hub.scan.model import Channel

_EXPECTING: Final = ("@ts-expect-error",)


def rewritten(path: str, source: str, channels: Sequence[Channel], hub_of: HubOf) -> Rewritten:
    """Rewrite what can be rewritten safely.

    Raises:
        RecursionError: the file is nested too deeply.
    """
    return _File(Tree(read_module(path, source)), hub_of).rewritten(channels)


class _File:
    def __init__(self, tree: Tree, hub_of: HubOf) -> None:
        self._tree = tree
        self._hub_of = hub_of
        self._names = Names(tree.words())
        self._members = Names(tree.members())
        self._hubs: dict[Hub, str] = {}
        self._edits: list[Edit] = []
        self._moved: list[Moved] = []
        self._left: list[Left] = []

    def rewritten(self, channels: Sequence[Channel]) -> Rewritten:
        path, text = self._tree.module.path, self._tree.text
        for group in self._groups(channels):
            self._group(group)
        if not self._moved:
            return Rewritten(text, (), self._left)
        after = self._with_imports(edited(text, self._edits))
        if read_module(path, after).damaged:
            left = [Left(path, each.line, "the result would not parse") for each in self._moved]
            return Rewritten(text, (), [*self._left, *left])
        return Rewritten(after, self._moved, self._left)

    def _with_imports(self, text: str) -> str:
        path = self._tree.module.path
        for hub, local in self._hubs.items():
            tree = Tree(read_module(path, text))
            text = edited(text, imports.added(tree, hub, local))
        tree = Tree(read_module(path, text))
        return edited(text, list(imports.unused(tree, self._tree)))

    def _leave(self, channel: Channel, reason: str) -> None:
        self._left.append(Left(channel.file, channel.line, reason))

    # Channels that share a variable go together

    def _groups(self, channels: Sequence[Channel]) -> Iterator[list[Part]]:
        groups: dict[object, list[Part]] = {}
        for channel in channels:
            try:
                part = part_of(self._tree, channel)
            except LeftError as error:
                self._leave(channel, str(error))
                continue
            key: object = id(part)
            if part.target is not None:
                target = part.target
                key = self._tree.place(target) if target.kind() == "identifier" else target.text()
            groups.setdefault(key, []).append(part)
        yield from groups.values()

    def _group(self, parts: list[Part]) -> None:
        try:
            edits, hub, local = self._rewrite(parts)
        except LeftError as error:
            for part in parts:
                self._leave(part.channel, str(error))
            return
        self._hubs[hub] = local
        self._edits += edits
        for part in parts:
            tables = [str(binding.table.text) for binding in part.channel.bindings]
            self._moved.append(Moved(part.channel.file, part.channel.line, tables))

    def _rewrite(self, parts: list[Part]) -> tuple[list[Edit], Hub, str]:
        client = self._tree.text[parts[0].channel.client.start : parts[0].channel.client.end]
        hub = self._hub_of(client)
        if any(self._hub_of(self._client(part)) != hub for part in parts):
            raise LeftError("its variable holds channels of several clients")
        holder = self._holder(parts)
        for part in parts:
            read(self._tree, part, holder)
        local = self._hubs.get(hub) or imports.named(self._tree, hub, self._names)
        layout = Layout(self._tree, local)
        if holder is None:
            return list(self._statement(parts[0], layout)), hub, local
        return list(self._held(parts, holder, layout)), hub, local

    def _client(self, part: Part) -> str:
        return self._tree.text[part.channel.client.start : part.channel.client.end]

    def _holder(self, parts: list[Part]) -> Holder | None:
        closings = {each.call: each for part in parts for each in part.channel.closings}
        target = parts[0].target
        if target is None:
            if closings:
                line = next(iter(closings.values())).line
                raise LeftError(f"it is closed by way of another value (line {line})")
            return None
        holder = holder_of(self._tree, target, list(closings.values()))
        chains = [part.chain for part in parts]
        if any(value not in chains for value in holder.created):
            raise LeftError(f"{holder.name} also holds something else")
        for node in holder.names:
            if in_handler(node):
                raise LeftError(f"a handler uses it (line {self._tree.line(start(node))})")
        return holder

    # Edits

    def _statement(self, part: Part, layout: Layout) -> Iterator[Edit]:
        """A channel that nothing holds."""
        listeners = self._commented(part, part.chain, part.listeners)
        if len(listeners) > 1:
            block = part.around.parent()
            if block is None or block.kind() not in BLOCKS:
                raise LeftError("there is no room for several statements")
        indent = self._tree.indent(start(part.around))
        ending = ";" if part.around.text().endswith(";") else ""
        text = layout.statements(listeners, indent, ending)
        yield Edit(start(part.chain), end(part.chain), text)

    def _held(self, parts: list[Part], holder: Holder, layout: Layout) -> Iterator[Edit]:
        several = any(len(part.listeners) > 1 for part in parts)
        names = self._members if holder.kind == "field" else self._names
        name = names.of_holder(holder.name, several, holder.scope())
        edits: list[Edit] = []
        for part in parts:
            if part.steps:
                edits += self._stepwise(part, holder, name, layout)
            else:
                edits += self._assigned(part, several, layout)
        for closing, node in holder.closed:
            text = self._text_of(holder, node, name)
            edits.append(closing_edit(self._tree, closing, node, text, several))
        inside = [(each.start, each.end) for each in edits]
        small = [*holder.renamed(name), *holder.retyped(several)]
        edits += [
            each
            for each in small
            if not any(begin <= each.start and each.end <= finish for begin, finish in inside)
        ]
        yield from edits

    def _text_of(self, holder: Holder, node: SgNode, name: str) -> str:
        """The holder under its new name, as it is written at a place, with a `!` if it has one."""
        outer, _ = around(node)
        mark = "!" if outer.kind() == "non_null_expression" else ""
        text = node.text()
        if holder.kind == "field":
            return text[: text.rindex(holder.name)] + name + mark
        return name + text[len(holder.name) :] + mark

    def _assigned(self, part: Part, several: bool, layout: Layout) -> Iterator[Edit]:
        indent = self._tree.indent(start(part.around))
        listeners = self._commented(part, part.chain, part.listeners)
        if several:
            text = layout.several(listeners, indent)
        else:
            yield from self._lifted(listeners[0], part.around)
            column = start(part.chain) - self._tree.line_start(start(part.chain))
            text = layout.one(listeners[0], column)
        yield Edit(start(part.chain), end(part.chain), text)

    def _lifted(self, listener: Listener, node: SgNode) -> Iterator[Edit]:
        """Comments of the only subscription go before its statement."""
        if not listener.comments:
            return
        statement = node.parent()
        if statement is None or not self._tree.begins_line(start(statement)):
            raise LeftError("a comment stands in it")
        place = start(statement)
        indent = self._tree.indent(place)
        text = "".join(each + self._tree.newline + indent for each in listener.comments)
        yield Edit(place, place, text)

    def _stepwise(self, part: Part, holder: Holder, name: str, layout: Layout) -> Iterator[Edit]:
        """One statement binds, or each adds to an array that is declared in the channel's place."""
        declaration = part.around.parent()
        if declaration is None:
            raise LeftError("it can't be read")
        binding = [step for step in part.steps if any(x.method == "on" for x in step[1])]
        chained = any(link.method == "on" for link in part.chained)
        if chained or len(binding) != 1:
            yield from self._pushed(part, holder, name, layout)
            return
        statement, _ = binding[0]
        call = statement.children()[0]
        listeners = self._commented(part, call, part.listeners)
        indent = self._tree.indent(start(statement))
        yield deletion(self._tree, start(declaration), end(declaration))
        for other, _ in part.steps:
            if other != statement:
                yield deletion(self._tree, start(other), end(other))
        head = f"const {name} = " if holder.closed else ""
        if len(listeners) > 1:
            text = layout.several(listeners, indent)
        else:
            lifted = [each + self._tree.newline + indent for each in listeners[0].comments]
            head = "".join(lifted) + head
            text = layout.one(listeners[0], len(indent) + len(head))
        yield Edit(start(call), end(call), head + text)

    def _pushed(self, part: Part, holder: Holder, name: str, layout: Layout) -> Iterator[Edit]:
        if any(link.method == "on" for link in part.chained):
            raise LeftError("it is bound in several statements")
        typed = self._tree.module.language in {"typescript", "tsx"}
        kind = ": (() => void)[]" if typed else ""
        declaration = part.around.parent()
        if declaration is None:
            raise LeftError("it can't be read")
        ending = ";" if declaration.text().endswith(";") else ""
        text = f"const {name}{kind} = []{ending}"
        yield Edit(start(declaration), end(declaration), text)
        for statement, chained in part.steps:
            call = statement.children()[0]
            own = [x for x in part.listeners if any(x.link is link for link in chained)]
            listeners = self._commented(part, call, own)
            indent = self._tree.indent(start(statement))
            if not own:
                yield deletion(self._tree, start(statement), end(statement))
                continue
            added = [
                f"{name}.push({layout.one(each, len(indent) + len(name) + 6)})"
                for each in listeners
            ]
            lines = [
                line
                for each, text in zip(listeners, added, strict=True)
                for line in (*each.comments, text + ending)
            ]
            text = f"{self._tree.newline}{indent}".join(lines).removesuffix(ending)
            yield Edit(start(call), end(call), text)

    def _commented(self, part: Part, node: SgNode, listeners: Sequence[Listener]) -> list[Listener]:
        """Listeners with the comments that stand before or in them."""
        found = comments(node, [each.handler for each in listeners])
        if any(word in text for _, text in found for word in _EXPECTING):
            raise LeftError("it has a comment that expects an error of types")
        if found and not listeners:
            raise LeftError("a comment stands in it")
        result = []
        for number, each in enumerate(listeners):
            last = number == len(listeners) - 1
            own = [text for at, text in found if last or at < end(each.link.call)]
            found = [(at, text) for at, text in found if not last and at >= end(each.link.call)]
            result.append(replace(each, comments=own))
        return result


__all__ = ["rewritten"]
