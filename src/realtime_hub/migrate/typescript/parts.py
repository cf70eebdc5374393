"""Where a channel stands, what it is put into, and what it listens to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.migrate.judging import judge
from realtime_hub.migrate.model import LeftError
from realtime_hub.migrate.typescript.chain import Link, Listener, links, listener
from realtime_hub.migrate.typescript.holder import Holder
from realtime_hub.migrate.typescript.tree import Tree, arguments, around, end, same, start
from realtime_hub.scan.model import Channel

BLOCKS: Final = frozenset({"program", "statement_block", "switch_case", "switch_default"})


@dataclass(slots=True)
class Part:
    """A channel, and where it stands. steps: statements that bind and open it one by one."""

    channel: Channel
    chain: SgNode
    chained: list[Link]
    around: SgNode
    target: SgNode | None = None
    listeners: list[Listener] = field(default_factory=list)
    steps: list[tuple[SgNode, list[Link]]] = field(default_factory=list)


def part_of(tree: Tree, channel: Channel) -> Part:
    """Find the channel's chain and what it is put into.

    Raises:
        LeftError: it can't be rewritten safely.
    """
    judge(channel)
    chain = tree.call_at(channel.chain)
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
    if in_handler(chain):
        raise LeftError("it stands in another subscription's handler")
    outer, parent = around(chain)
    if parent is None or outer != chain:
        raise LeftError("it can't be read")
    return _placed(Part(channel, chain, chained, parent))


def _placed(part: Part) -> Part:
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


def read(tree: Tree, part: Part, holder: Holder | None) -> None:
    """Find what the channel listens to.

    Raises:
        LeftError: it can't be rewritten safely.
    """
    opened = [each for each in part.chained if each.method == "subscribe"]
    bound = [(link, part.chain) for link in part.chained if link.method == "on"]
    if not opened:
        opened += _steps(tree, part, holder, bound)
    elif holder is not None and holder.calls:
        line = tree.line(start(holder.calls[0]))
        raise LeftError(f"it is used after it was subscribed (line {line})")
    if len(opened) != 1:
        raise LeftError("it is subscribed in several places")
    part.listeners = [listener(tree, part.channel, link) for link, _ in bound]
    if len(part.listeners) != len(part.channel.bindings):
        raise LeftError("it has bindings elsewhere")


def _steps(
    tree: Tree, part: Part, holder: Holder | None, bound: list[tuple[Link, SgNode]]
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
    if len(declarators) != 1 or len(holder.created) != 1 or block.kind() not in BLOCKS:
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
            raise LeftError(f"it is used elsewhere (line {tree.line(start(node))})")
        if not same(statement.parent(), block):
            raise LeftError(f"it is bound in another block (line {tree.line(start(node))})")
        chained = links(call)[1]
        _check_opening(chained)
        if any(each.method not in {"on", "subscribe"} for each in chained):
            raise LeftError(f"it is used elsewhere (line {tree.line(start(node))})")
        part.steps.append((statement, chained))
        bound += [(each, call) for each in chained if each.method == "on"]
        opened += [each for each in chained if each.method == "subscribe"]
    if not opened:
        raise LeftError("it is never subscribed here")
    return opened


def _check_opening(chained: Sequence[Link]) -> None:
    if any(each.method == "subscribe" and arguments(each.call) for each in chained):
        raise LeftError("subscribe has a callback; hub.onStatus may take its place")


def in_handler(node: SgNode) -> bool:
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
