"""Errors that the code of a channel has, whatever the database holds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from realtime_hub.scan.channels import Draft
from realtime_hub.scan.cleanup import Closer
from realtime_hub.scan.lifecycle import EFFECTS
from realtime_hub.scan.model import CHANGES, Binding, Channel, Cleanup, Finding, Level, Style
from realtime_hub.scan.rules import RULES
from realtime_hub.scan.shapes import argument_of
from realtime_hub.scan.syntax import CallSite, Function, Module, Use
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import words
from realtime_hub.wire.filters import Operator

_JOINED: Final = re.compile(
    r"(?:&&?|\|\|?|;|\band\b|\bor\b)\s*\(?\s*[\w\"]+=(?:not\.)?[a-z]+\.|^\W{0,2}(?:and|or)\s*=?\s*\(",
    re.IGNORECASE,
)
_OPERATOR: Final = re.compile(r"(?:^|,)\s*\"?[\w.]+\"?\s*=\s*(?:not\.)?([A-Za-z_]+)\.")
_PLAIN: Final = re.compile(r"^\s*\"?\w+\"?\s*(?:==?=?|!=|<=?|>=?|<>)\s*(?!(?:not\.)?[a-z]+\.)")
_SUBSELECT: Final = re.compile(r"\(\s*select\b", re.IGNORECASE)
_QUOTES: Final = "`'\""
_OPEN: Final = frozenset({Cleanup.NONE, Cleanup.LEAK})
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_ROUTES: Final = words("get post put patch delete all use route serve handle fetch websocket")
_HANDLERS: Final = words("handler loader action")
_REQUESTS: Final = words("req request ctx context event")


def of_filter(binding: Binding) -> str | None:
    """The rule that a filter breaks."""
    text = binding.filter.text
    if text is None or binding.kind != CHANGES:
        return None
    if not binding.filter.proven:
        if not text.startswith((*_QUOTES, "f'", 'f"')):
            return None
        text = text.lstrip("f")[1:].rstrip(_QUOTES)
    if _SUBSELECT.search(text):
        return "RH213"
    if _JOINED.search(text):
        return "RH211"
    names = [found[1] for found in _OPERATOR.finditer(text)]
    known = set(Operator)
    if any(name not in known for name in names) or (not names and _PLAIN.match(text)):
        return "RH212"
    return None


class Findings:
    """Judges the channels of a project."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def of(self, draft: Draft, channel: Channel, closer: Closer) -> Iterator[Finding]:
        """What is wrong with one channel."""
        if not channel.reachable:
            return
        for binding in channel.bindings:
            rule = of_filter(binding)
            if rule is not None:
                yield _finding(rule, binding.file, binding.line, binding.filter.text or "")
        for line in _late(draft):
            yield _finding("RH214", channel.file, line, f"{channel.name} is open already")
        yield from self._effect(draft, channel)
        if channel.cleanup is Cleanup.LEAK:
            for module, site in closer.dropped:
                if site.function == 0:
                    continue  # for as long as the page or the process lives
                called = module.code(site.call)[:60]
                yield _finding("RH217", module.path, site.call.line, f"{called} is let go")
        if channel.cleanup in _OPEN and _serves(draft):
            detail = f"{channel.owner or 'the handler'} runs for each request"
            yield _finding("RH218", channel.file, channel.line, detail)

    @staticmethod
    def _effect(draft: Draft, channel: Channel) -> Iterator[Finding]:
        for function in draft.module.enclosing(draft.function):
            site = argument_of(draft.module, function)
            if site is not None and site.call.method in EFFECTS:
                hook = site.call.method.startswith("use") and site.call.method.endswith("Effect")
                if hook and len(site.call.arguments) == 1:
                    detail = f"{channel.owner} opens one at each render"
                    yield _finding("RH215", channel.file, site.call.line, detail)
                return

    @staticmethod
    def overwritten(pairs: Iterable[tuple[Draft, Channel]]) -> Iterator[Finding]:
        """Channels that are put where another still is."""
        groups: dict[tuple[str, int, str], list[tuple[Draft, Channel]]] = defaultdict(list)
        for draft, channel in pairs:
            if channel.variable is not None and channel.reachable:
                groups[channel.file, draft.function, channel.variable].append((draft, channel))
        for group in groups.values():
            for (first, before), (second, channel) in pairwise(group):
                if not _apart(first, second, before):
                    detail = f"{channel.variable} held the channel of line {before.line}"
                    yield _finding("RH216", channel.file, channel.line, detail)
            for draft, channel in group:
                if len(group) == 1 and _in_loop(draft, channel):
                    detail = f"{channel.variable} keeps the loop's last channel only"
                    yield _finding("RH216", channel.file, channel.line, detail)


def _finding(rule: str, file: str, line: int, detail: str) -> Finding:
    _, title, remedy = RULES[rule]
    return Finding(rule, Level.ERROR, file, line, title, detail, remedy)


def _late(draft: Draft) -> Iterator[int]:
    """Lines of listening calls behind the channel's opening, in the same run."""
    if draft.style is not Style.CHANNEL:
        return
    opened = [
        use.site
        for use in draft.used_by({"subscribe"})
        if use.module is draft.module and use.site.function == draft.function
    ]
    first = min((site.call.end for site in opened), default=None)
    for attached in draft.attached:
        listening = attached.listening
        same = listening.module is draft.module and listening.function == draft.function
        if first is not None and same and listening.node.end > first:
            yield listening.node.line


def _apart(first: Draft, second: Draft, before: Channel) -> bool:
    """Only one of two is made, or the first is closed in between."""
    module = first.module
    closed = any(first.node.end <= each.call.start < second.node.start for each in before.closings)
    alone = any(
        (b.start <= first.node.start < b.end) != (b.start <= second.node.start < b.end)
        for b in module.branches
    )
    return closed or alone or _declared_twice(module, second, before.variable or "")


def _declared_twice(module: Module, second: Draft, name: str) -> bool:
    """The second is a variable of its own with the same name."""
    return any(
        write.declared and write.start <= second.node.start < write.end
        for write in module.assignments
        if getattr(write.target, "name", None) == name
    )


def _in_loop(draft: Draft, channel: Channel) -> bool:
    """One variable outside of a loop takes each channel that the loop makes."""
    node, module = draft.node, draft.module
    loops = [loop for loop in module.loops if loop.start <= node.start < loop.end]
    if not loops or any(loops[0].start <= c.call.start < loops[0].end for c in channel.closings):
        return False
    return any(
        not write.declared and write.start <= node.start < write.end
        for write in module.assignments
        if module.code(write.target) == channel.variable and "[" not in channel.variable
    )


# Request handlers


def _serves(draft: Draft) -> bool:
    module = draft.module
    return any(_is_handler(module, each) for each in module.enclosing(draft.function))


def _is_handler(module: Module, function: Function) -> bool:
    first = function.parameters[0].name.lstrip("_") if function.parameters else ""
    exported = any(export.local == function.name for export in module.exports)
    if function.name in _METHODS and exported and function.parent == 0:
        return True
    if function.name in _HANDLERS | {"default"} and function.parent == 0:
        return first in _REQUESTS or _is_route(module)
    site = argument_of(module, function)
    return site is not None and _routes(site, first)


def _is_route(module: Module) -> bool:
    return "/pages/api/" in f"/{module.path}" or PurePosixPath(module.path).stem == "route"


def _routes(site: CallSite, first: str) -> bool:
    """`app.get('/path', (req, res) => ...)`, `Deno.serve(async (req) => ...)`."""
    return site.call.method in _ROUTES and first in _REQUESTS and site.use is Use.DISCARDED
