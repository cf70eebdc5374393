"""Where a channel stands, what it is put into, and the statements that bind and open it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from realtime_hub.migrate.judging import judge
from realtime_hub.migrate.model import LeftError
from realtime_hub.migrate.python.holder import Held, Holder
from realtime_hub.migrate.python.listeners import Listener, listener
from realtime_hub.migrate.python.source import Link, Source
from realtime_hub.scan.model import Channel

_MAKES = "channel"
_BINDS = "on_postgres_changes"
_OPENS = "subscribe"


@dataclass(slots=True)
class Step:
    """A statement with calls on a channel. value: the expression that it is, with `await`."""

    statement: ast.stmt
    value: ast.expr
    links: list[Link]
    listeners: list[Listener] = field(default_factory=list)

    @property
    def opens(self) -> bool:
        return any(link.method == _OPENS for link in self.links)


@dataclass(slots=True)
class Part:
    """A channel. steps: that which makes it, and those that follow."""

    channel: Channel
    target: Held | None
    steps: list[Step]

    @property
    def listeners(self) -> list[Listener]:
        return [each for step in self.steps for each in step.listeners]


def part_of(source: Source, channel: Channel) -> Part:
    """Find what the channel is put into.

    Raises:
        LeftError: it can't be rewritten safely.
    """
    judge(channel)
    call = source.calls.get((channel.call.start, channel.call.end))
    if call is None:
        raise LeftError("it can't be read")
    if len(call.args) + len(call.keywords) > 1:
        raise LeftError("it is made with options of its own")
    step = _step(source, call)
    match step.statement:
        case ast.Expr(value=value) if value is step.value:
            return Part(channel, None, [step])
        case ast.Assign(targets=[target], value=value) if value is step.value:
            pass
        case ast.AnnAssign(target=target, value=value) if value is step.value:
            pass
        case ast.Return(value=value) if value is step.value:
            raise LeftError("it is returned to a caller")
        case _:
            raise LeftError("it is given to something else")
    if not isinstance(target, ast.Name | ast.Attribute):
        raise LeftError(f"it is kept in {source.of(target)[:60]}")
    return Part(channel, target, [step])


def complete(source: Source, part: Part, holder: Holder | None) -> None:
    """Find what the channel listens to, and where it is opened.

    Raises:
        LeftError: it can't be rewritten safely.
    """
    calls = [] if holder is None else sorted(holder.calls, key=source.start)
    if calls and part.steps[0].opens:
        raise LeftError(f"it is used after it was subscribed (line {calls[0].lineno})")
    if calls:
        part.steps += _following(source, part.steps[0].statement, calls)
    if [step.opens for step in part.steps] != [False] * (len(part.steps) - 1) + [True]:
        raise LeftError("it is not subscribed here, once and last")
    for step in part.steps:
        bound = [link.call for link in step.links if link.method == _BINDS]
        step.listeners = [listener(source, part.channel, call) for call in bound]
    if len(part.listeners) != len(part.channel.bindings):
        raise LeftError("it has bindings elsewhere")
    if holder is not None and len(part.steps) > 1:
        _check_between(source, part, holder)


def _check_between(source: Source, part: Part, holder: Holder) -> None:
    """A subscription opens where its binding stood, and only then is it in its variable: nothing
    may have been done before the channel was opened that relies on either."""
    statements = [step.statement for step in part.steps]
    bound = next(step.statement for step in part.steps if step.listeners)
    block = source.block(bound)
    for each in block[block.index(statements[0]) : block.index(statements[-1])]:
        late = block.index(each) > block.index(bound)
        used = any(node in holder.uses for node in ast.walk(each))
        if each not in statements and (used or late) and not _is_idle(each):
            raise LeftError(f"other things are done before it is subscribed (line {each.lineno})")
    _check_ended(source, bound, holder)


def _check_ended(source: Source, bound: ast.stmt, holder: Holder) -> None:
    """Where `try` goes on with a channel that could not be opened, its variable holds nothing."""
    around = source.parents[bound]
    if not isinstance(around, ast.Try) or bound not in around.body:
        return
    behind, end = source.end(around.body[-1]), source.end(around)
    for use in holder.uses:
        if behind < source.start(use) < end:
            raise LeftError(f"it is closed even if it was not subscribed (line {use.lineno})")


def _is_idle(statement: ast.stmt) -> bool:
    """It only defines something, or makes, binds or opens another channel."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return True
        case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.Expr(value=value):
            call = value.value if isinstance(value, ast.Await) else value
            method = call.func if isinstance(call, ast.Call) else None
            return isinstance(method, ast.Attribute) and method.attr in {_MAKES, _BINDS, _OPENS}
    return False


def _following(source: Source, first: ast.stmt, calls: list[Held]) -> list[Step]:
    """Calls in statements of their own, in the block where the channel is made."""
    block, steps = source.block(first), []
    for node in calls:
        step = _step(source, node)
        beside = step.statement in block and block.index(step.statement) > block.index(first)
        if not isinstance(step.statement, ast.Expr) or step.statement.value is not step.value:
            raise LeftError(f"it is given to something else (line {node.lineno})")
        if not beside:
            raise LeftError(f"it is bound or opened in another block (line {node.lineno})")
        steps.append(step)
    return steps


def _step(source: Source, base: ast.expr) -> Step:
    whole, links = source.links(base)
    for place, link in enumerate(links):
        if link.method not in {_BINDS, _OPENS}:
            raise LeftError(f"it also calls {link.method}")
        if link.method == _OPENS:
            if link.call.args or link.call.keywords:
                raise LeftError("subscribe has a callback; hub.on_status may take its place")
            if place != len(links) - 1:
                raise LeftError("it is bound after it was subscribed")
    step = Step(source.statement(whole), whole, links)
    if step.opens:
        awaited = source.parents[whole]
        if not isinstance(awaited, ast.Await):
            raise LeftError("its subscribe is not awaited where it is called")
        step.value = awaited
    return step
