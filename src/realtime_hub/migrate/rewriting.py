"""Rewrites the channels of one file of TypeScript or JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.migrate import imports
from realtime_hub.migrate.chain import Link, Listener, comments, links, listener
from realtime_hub.migrate.holder import Holder, closing_edit, holder_of
from realtime_hub.migrate.hubs import Hub
from realtime_hub.migrate.imports import deletion
from realtime_hub.migrate.layout import Layout
from realtime_hub.migrate.model import Edit, Left, LeftError, Moved, edited
from realtime_hub.migrate.naming import Names
from realtime_hub.migrate.tree import Tree, arguments, around, end, same, start
from realtime_hub.scan.languages import read_module
from realtime_hub.scan.model import CHANGES, Channel, Cleanup, Style

_BLOCKS: Final = frozenset({"program", "statement_block", "switch_case", "switch_default"})
_EXPECTING: Final = ("@ts-expect-error",)

HubOf = Callable[[str], Hub]
"""The hub of a client, by its source text; raises LeftError if there is none."""


@dataclass(slots=True)
class _Part:
    """A channel, and where it stands. steps: statements that bind and open it one by one."""

    channel: Channel
    chain: SgNode
    chained: list[Link]
    around: SgNode
    target: SgNode | None = None
    listeners: list[Listener] = field(default_factory=list)
    steps: list[tuple[SgNode, list[Link]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file's text after, with what was done and what was left."""

    text: str
    moved: Sequence[Moved]
    left: Sequence[Left]


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

    def _groups(self, channels: Sequence[Channel]) -> Iterator[list[_Part]]:
        groups: dict[object, list[_Part]] = {}
        for channel in channels:
            try:
                part = self._part(channel)
            except LeftError as error:
                self._leave(channel, str(error))
                continue
            key: object = id(part)
            if part.target is not None:
                target = part.target
                key = self._tree.place(target) if target.kind() == "identifier" else target.text()
            groups.setdefault(key, []).append(part)
        yield from groups.values()

    def _part(self, channel: Channel) -> _Part:
        _judge(channel)
        chain = self._tree.call_at(channel.chain)
        if chain is None:
            raise LeftError("it can't be read")
        _, chained = links(chain)
        if not chained or chained[0].method != "channel":
            raise LeftError("it can't be read")
        if len(arguments(chained[0].call)) > 1:
            raise LeftError("it is made with options of its own")
        others = [each.method for each in chained[1:] if each.method not in {"on", "subscribe"}]
        if others:
            raise LeftError(f"it also calls {others[0]}")
        _check_opening(chained)
        if _in_handler(chain):
            raise LeftError("it stands in another subscription's handler")
        outer, parent = around(chain)
        if parent is None or outer != chain:
            raise LeftError("it can't be read")
        return self._placed(_Part(channel, chain, chained, parent))

    def _placed(self, part: _Part) -> _Part:
        parent = part.around
        if parent.kind() == "variable_declarator":
            part.target = parent.field("name")
        elif parent.kind() == "assignment_expression" and _is_statement(parent):
            part.target = parent.field("left")
        elif parent.kind() in {"return_statement", "arrow_function"}:
            raise LeftError("it is returned to a caller")
        elif parent.kind() != "expression_statement":
            raise LeftError("it is given to something else")
        if part.target is not None and part.target.kind() not in {
            "identifier",
            "member_expression",
        }:
            raise LeftError(f"it is kept in {part.target.text()[:60]}")
        return part

    def _group(self, parts: list[_Part]) -> None:
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

    def _rewrite(self, parts: list[_Part]) -> tuple[list[Edit], Hub, str]:
        client = self._tree.text[parts[0].channel.client.start : parts[0].channel.client.end]
        hub = self._hub_of(client)
        if any(self._hub_of(self._client(part)) != hub for part in parts):
            raise LeftError("its variable holds channels of several clients")
        holder = self._holder(parts)
        for part in parts:
            self._read(part, holder)
        local = self._hubs.get(hub) or imports.named(self._tree, hub, self._names)
        layout = Layout(self._tree, local)
        if holder is None:
            return list(self._statement(parts[0], layout)), hub, local
        return list(self._held(parts, holder, layout)), hub, local

    def _client(self, part: _Part) -> str:
        return self._tree.text[part.channel.client.start : part.channel.client.end]

    def _holder(self, parts: list[_Part]) -> Holder | None:
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
            if _in_handler(node):
                raise LeftError(f"a handler uses it (line {self._tree.line(start(node))})")
        return holder

    # What a channel listens to

    def _read(self, part: _Part, holder: Holder | None) -> None:
        opened = [each for each in part.chained if each.method == "subscribe"]
        bound = [(link, part.chain) for link in part.chained if link.method == "on"]
        if not opened:
            opened += self._steps(part, holder, bound)
        elif holder is not None and holder.calls:
            line = self._tree.line(start(holder.calls[0]))
            raise LeftError(f"it is used after it was subscribed (line {line})")
        if len(opened) != 1:
            raise LeftError("it is subscribed in several places")
        part.listeners = [listener(self._tree, part.channel, link) for link, _ in bound]
        if len(part.listeners) != len(part.channel.bindings):
            raise LeftError("it has bindings elsewhere")

    def _steps(
        self, part: _Part, holder: Holder | None, bound: list[tuple[Link, SgNode]]
    ) -> list[Link]:
        """Calls in statements of their own, in the block where the channel is declared."""
        declaration = part.around.parent()
        block = None if declaration is None else declaration.parent()
        if holder is None or part.around.kind() != "variable_declarator" or block is None:
            raise LeftError("it is never subscribed here")
        declarators = (
            [n for n in declaration.children() if n.kind() == "variable_declarator"]
            if declaration
            else []
        )
        if len(declarators) != 1 or len(holder.created) != 1 or block.kind() not in _BLOCKS:
            raise LeftError("it is declared together with others")
        opened: list[Link] = []
        for node in holder.calls:
            call = node
            while (
                (member := call.parent()) is not None
                and member.kind() == "member_expression"
                and (outer := member.parent()) is not None
                and outer.kind() == "call_expression"
            ):
                call = outer
            statement = call.parent()
            if statement is None or statement.kind() != "expression_statement" or opened:
                raise LeftError(f"it is used elsewhere (line {self._tree.line(start(node))})")
            if not same(statement.parent(), block):
                raise LeftError(
                    f"it is bound in another block (line {self._tree.line(start(node))})"
                )
            chained = links(call)[1]
            _check_opening(chained)
            if any(each.method not in {"on", "subscribe"} for each in chained):
                raise LeftError(f"it is used elsewhere (line {self._tree.line(start(node))})")
            part.steps.append((statement, chained))
            bound += [(each, call) for each in chained if each.method == "on"]
            opened += [each for each in chained if each.method == "subscribe"]
        if not opened:
            raise LeftError("it is never subscribed here")
        return opened

    # Edits

    def _statement(self, part: _Part, layout: Layout) -> Iterator[Edit]:
        """A channel that nothing holds."""
        listeners = self._commented(part, part.chain, part.listeners)
        if len(listeners) > 1:
            block = part.around.parent()
            if block is None or block.kind() not in _BLOCKS:
                raise LeftError("there is no room for several statements")
        indent = self._tree.indent(start(part.around))
        ending = ";" if part.around.text().endswith(";") else ""
        text = layout.statements(listeners, indent, ending)
        yield Edit(start(part.chain), end(part.chain), text)

    def _held(self, parts: list[_Part], holder: Holder, layout: Layout) -> Iterator[Edit]:
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

    def _assigned(self, part: _Part, several: bool, layout: Layout) -> Iterator[Edit]:
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

    def _stepwise(self, part: _Part, holder: Holder, name: str, layout: Layout) -> Iterator[Edit]:
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

    def _pushed(self, part: _Part, holder: Holder, name: str, layout: Layout) -> Iterator[Edit]:
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

    def _commented(
        self, part: _Part, node: SgNode, listeners: Sequence[Listener]
    ) -> list[Listener]:
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


def _judge(channel: Channel) -> None:
    """What can be said without looking at the code around."""
    reason = ""
    kinds = {binding.kind for binding in channel.bindings}
    dynamic = next((b for b in channel.bindings if not b.proven), None)
    other = next((b for b in channel.bindings if b.file != channel.file), None)
    closed = next((c for c in channel.closings if c.file != channel.file), None)
    if channel.shared:
        reason = "it belongs to a hub of the project's own"
    elif channel.style is not Style.CHANNEL:
        reason = {
            Style.V1: "it is written for supabase-js 1",
            Style.RAW: "it is joined by frames written by hand",
        }.get(channel.style, "it is a stream")
    elif kinds - {CHANGES}:
        reason = f"it also uses {min(kinds - {CHANGES})}"
    elif other is not None:
        reason = f"it is bound in another file ({other.file}:{other.line})"
    elif dynamic is not None:
        names = " and ".join(name for name in dynamic.unresolved if name != "filter")
        reason = f"its {names} is known only when it runs (line {dynamic.line})"
    elif closed is not None:
        reason = f"it is closed in another file ({closed.file}:{closed.line})"
    elif channel.cleanup is Cleanup.ALL:
        reason = "it is closed with all channels; hub.cleanup() may take its place"
    if reason:
        raise LeftError(reason)


def _check_opening(chained: Sequence[Link]) -> None:
    if any(each.method == "subscribe" and arguments(each.call) for each in chained):
        raise LeftError("subscribe has a callback; hub.onStatus may take its place")


def _in_handler(node: SgNode) -> bool:
    """It stands in a function that is handed to a subscription: those are never touched."""
    for each in node.ancestors():
        if each.kind() == "call_expression":
            function = each.field("function")
            name = None if function is None else function.field("property")
            given = arguments(each)
            if name is not None and name.text() in {"on", "subscribe"} and len(given) > 2:
                third = given[2]
                if start(third) <= start(node) and end(node) <= end(third):
                    return True
    return False


def _is_statement(node: SgNode) -> bool:
    parent = node.parent()
    return parent is not None and parent.kind() == "expression_statement"


__all__ = ["HubOf", "Rewritten", "rewritten"]
