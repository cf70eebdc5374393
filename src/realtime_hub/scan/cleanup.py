"""How a channel is closed: by which call, and whether that call is reached when its owner ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.channels import Draft
from realtime_hub.scan.handles import Holding
from realtime_hub.scan.lifecycle import (
    CALLBACKS,
    EFFECTS,
    ENDS,
    TEARDOWN_CALLS,
    TEARDOWN_METHODS,
    THROUGH,
)
from realtime_hub.scan.model import Cleanup, Closing, Span, Style
from realtime_hub.scan.surroundings import innermost
from realtime_hub.scan.syntax import (
    Array,
    Awaited,
    Call,
    CallSite,
    Choice,
    Expr,
    Function,
    Lambda,
    Literal,
    Module,
    Name,
    Record,
    Use,
)
from realtime_hub.scan.values import Values

_RANK: Final = (
    Cleanup.YES,
    Cleanup.CALLER,
    Cleanup.ALL,
    Cleanup.RETURNED,
    Cleanup.MANUAL,
    Cleanup.PARTIAL,
    Cleanup.LEAK,
)
_DEPTH: Final = 6


class Closer:
    """Judges one channel."""

    def __init__(self, values: Values, draft: Draft) -> None:
        self._values = values
        self._draft = draft
        self._holding = Holding(values, draft)
        self._busy: set[tuple[str, int]] = set()
        self.dropped: list[tuple[Module, CallSite]] = []
        """Calls that return what closes the channel, and whose value is let go."""

    def judge(self) -> tuple[Cleanup, list[Closing]]:
        """How it is closed, and the calls that do it."""
        sites = list(self._holding.closing())
        verdicts = [self._at(module, site.call.start, _DEPTH) for module, site in sites]
        verdicts = [
            self._by_caller(module, site, verdict)
            for (module, site), verdict in zip(sites, verdicts, strict=True)
        ]
        for module, site in self._holding.closing_all():
            if self._at(module, site.call.start, _DEPTH) is not Cleanup.PARTIAL:
                verdicts.append(Cleanup.ALL)
        if self._draft.style is Style.STREAM and self._framework():
            verdicts.append(Cleanup.YES)
        if not verdicts:
            verdicts.append(self._given_away())
        closings = [_closing(module, site) for module, site in sites]
        return _best(verdicts), closings

    def _by_caller(self, module: Module, site: CallSite, verdict: Cleanup) -> Cleanup:
        """Another component that was given the channel, and closes it, is a caller."""
        if verdict is not Cleanup.YES:
            return verdict
        givers = [
            (path, function)
            for path, number in self._holding.found.returning
            for function in [self._holding.found.modules[path].functions[number]]
            if self.argument_of(self._holding.found.modules[path], function) is None
            and self._holds_creation(self._holding.found.modules[path], function)
        ]
        inside = any(
            path == module.path and function.start <= site.call.start < function.end
            for path, function in givers
        )
        return Cleanup.CALLER if givers and not inside else verdict

    # Where a closing call runs

    def _at(self, module: Module, offset: int, depth: int) -> Cleanup:
        if any(start <= offset < end for start, end in module.finals):
            return Cleanup.YES
        if depth == 0:
            return Cleanup.MANUAL
        for function in module.enclosing(innermost(module, offset)):
            if self._holds_creation(module, function):
                return self._straight(module, function, offset)
            verdict = self._function(module, function, depth)
            if verdict is not None:
                return verdict
        same = module is self._draft.module
        return self._straight(module, module.functions[0], offset) if same else Cleanup.MANUAL

    def _holds_creation(self, module: Module, function: Function) -> bool:
        if module is not self._draft.module or function.is_class:
            return False
        return function.start <= self._draft.node.start < function.end

    def _straight(self, module: Module, function: Function, offset: int) -> Cleanup:
        """In the same run as the channel is made: before it, an earlier one is closed."""
        if offset < self._draft.node.start:
            return Cleanup.PARTIAL
        guarded = any(
            branch.start <= offset < branch.end and not branch.start <= self._draft.node.start
            for branch in module.branches
        )
        return Cleanup.PARTIAL if guarded else Cleanup.YES

    def _function(self, module: Module, function: Function, depth: int) -> Cleanup | None:
        """What running a function amounts to; None if it runs where it is written."""
        if function.is_class:
            return None
        if function.method and function.name in TEARDOWN_METHODS:
            return Cleanup.YES
        key = (module.path, function.number)
        if key in self._busy:
            return Cleanup.MANUAL
        self._busy.add(key)
        try:
            return self._used(module, function, depth)
        finally:
            self._busy.discard(key)

    def _used(self, module: Module, function: Function, depth: int) -> Cleanup | None:
        site = self.argument_of(module, function)
        if site is not None and site.call.method not in CALLBACKS:
            return self._argument(module, site)
        verdicts = [Cleanup.MANUAL] if function.method else []
        if self._returned_by_parent(module, function):
            verdicts.append(self.returned(module, function.parent, depth - 1))
        names = {function.name, self._alias(module, function)} - {""}
        for name in names:
            verdicts += self._mentions(module, name, function, depth - 1)
        if function.declared_at >= 0 or names:
            verdicts += self._elsewhere(module, function, depth - 1)
        if self._called_at_once(module, function):
            return None
        return _best(verdicts) if verdicts else Cleanup.MANUAL

    def _argument(self, module: Module, site: CallSite) -> Cleanup | None:
        method = site.call.method
        if method in TEARDOWN_CALLS:
            return Cleanup.YES
        if method in {"on", "once", "addEventListener", "addListener"}:
            event = site.call.argument(0)
            text = None if event is None else self._values.text(Value(event, module))
            return Cleanup.YES if text in ENDS else Cleanup.MANUAL
        if method in THROUGH:
            return None
        return Cleanup.PARTIAL if method in {"subscribe", "onSystem"} else Cleanup.MANUAL

    def _mentions(self, module: Module, name: str, function: Function, depth: int) -> list[Cleanup]:
        """Where a function's name is written: called, returned, or handed to a teardown."""
        found = []
        for offset in module.references.get(name, ()):
            if function.start <= offset < function.end:
                continue
            found.append(self.mentioned(module, offset, depth))
        return found

    def mentioned(self, module: Module, offset: int, depth: int) -> Cleanup:
        """What becomes of a closing function at a place where it is named."""
        site = _tightest(module, offset)
        if site is not None and site.call.start <= offset < site.call.opening:
            return self._at(module, offset, depth)
        if site is not None and site.call.opening < offset:
            verdict = self._argument(module, site)
            if site.call.method in EFFECTS:
                return Cleanup.MANUAL
            inside = any(each.start <= offset < each.end for each in site.call.arguments)
            if inside and verdict is Cleanup.YES:
                return Cleanup.YES
        for around in module.enclosing(innermost(module, offset)):
            if any(_passes(each, offset) for each in around.returns):
                return self.returned(module, around.number, depth)
            break
        return Cleanup.MANUAL

    def _elsewhere(self, module: Module, function: Function, depth: int) -> list[Cleanup]:
        found: list[Cleanup] = []
        for caller, site in self._values.callers(module, function.number):
            if caller is not module:
                verdict = self._at(caller, site.call.start, depth)
                found.append(Cleanup.CALLER if verdict is Cleanup.YES else verdict)
        return found

    # What a function returns

    def returned(self, module: Module, number: int, depth: int) -> Cleanup:
        """A function returns what closes the channel: an effect's callback, or for a caller."""
        function = module.functions[number]
        if depth <= 0 or number == 0:
            return Cleanup.RETURNED
        site = self.argument_of(module, function)
        while site is not None and site.call.method in CALLBACKS:
            outer = _argument_around(module, site.call)
            if outer is None:
                break
            site = outer
        if site is not None and site.call.method in EFFECTS:
            return Cleanup.LEAK if function.is_async else Cleanup.YES
        if site is not None and site.call.method not in CALLBACKS | THROUGH:
            return Cleanup.MANUAL  # a store's: whoever uses it may call it
        if self._referred_effect(module, function):
            return Cleanup.LEAK if function.is_async else Cleanup.YES
        return self.kept(module, function, depth)

    def kept(self, module: Module, function: Function, depth: int) -> Cleanup:
        """What callers make of what a function returns."""
        sites = [
            (caller, site)
            for caller, site in self._values.callers(module, function.number)
            if not self._is_inside(module, function, caller, site)
        ]
        sites += [(module, site) for site in self._at_once(module, function)]
        verdicts = {self._kept_at(caller, site, depth - 1) for caller, site in sites}
        if not verdicts:
            return Cleanup.RETURNED
        if Cleanup.LEAK in verdicts and len(verdicts) > 1:
            return Cleanup.PARTIAL
        best = _best(verdicts)
        return Cleanup.CALLER if best is Cleanup.YES else best

    @staticmethod
    def _is_inside(module: Module, function: Function, caller: Module, site: CallSite) -> bool:
        return caller is module and function.start <= site.call.start < function.end

    def _kept_at(self, module: Module, site: CallSite, depth: int) -> Cleanup:
        match site.use:
            case Use.DISCARDED:
                self.dropped.append((module, site))
                return Cleanup.LEAK
            case Use.RETURNED:
                return self.returned(module, site.function, depth)
            case Use.ASSIGNED:
                return self._assigned(module, site, depth)
        return Cleanup.CALLER

    def _assigned(self, module: Module, site: CallSite, depth: int) -> Cleanup:
        scopes = self._values.scopes(module)
        found = []
        for write in module.assignments:
            if write.value is None or not _is_call(write.value, site.call):
                continue
            target = write.target
            name = getattr(target, "name", "")
            place = scopes.place(target)
            for offset in module.references.get(name, ()):
                same = scopes.place(Name(offset, offset, 1, name)) == place
                if (same or not isinstance(target, Name)) and not site.start <= offset < site.end:
                    found.append(self.mentioned(module, offset, depth))
        return _best(found) if found else Cleanup.LEAK

    # Shapes

    def argument_of(self, module: Module, function: Function) -> CallSite | None:
        """The call that a function is written as an argument of."""
        for site in module.calls:
            for each in (*site.call.arguments, *(value for _, value in site.call.keywords)):
                if isinstance(each, Lambda) and each.function == function.number:
                    return site
        return None

    @staticmethod
    def _returned_by_parent(module: Module, function: Function) -> bool:
        parent = module.functions[function.parent]
        return any(_passes(each, function.start) for each in parent.returns)

    @staticmethod
    def _alias(module: Module, function: Function) -> str:
        """The name of a variable that holds `useCallback(function)`."""
        for write in module.assignments:
            value = write.value
            if isinstance(value, Call) and value.start <= function.start < value.end:
                inner = value.arguments[:1]
                held = inner and isinstance(inner[0], Lambda)
                if held and inner[0].start == function.start and isinstance(write.target, Name):
                    return write.target.name
        return ""

    @staticmethod
    def _at_once(module: Module, function: Function) -> list[CallSite]:
        """`(async () => { ... })()`."""
        return [
            site
            for site in module.calls
            if isinstance(site.call.function, Lambda)
            and site.call.function.function == function.number
        ]

    def _called_at_once(self, module: Module, function: Function) -> bool:
        return bool(self._at_once(module, function))

    def _referred_effect(self, module: Module, function: Function) -> bool:
        """`useEffect(subscribe, [])`."""
        for offset in module.references.get(function.name, ()):
            site = _tightest(module, offset)
            if site is not None and site.call.method in EFFECTS and offset > site.call.opening:
                return True
        return False

    # Channels that nothing closes here

    def _given_away(self) -> Cleanup:
        """The channel itself is returned: to whom?"""
        found = self._holding.found
        verdicts = set()
        for path, number in found.returning:
            module = found.modules[path]
            function = module.functions[number]
            if self.argument_of(module, function) is not None:
                continue
            sites = self._values.callers(module, number)
            if not sites:
                verdicts.add(Cleanup.RETURNED)
            elif all(site.use is Use.DISCARDED for _, site in sites):
                self.dropped += sites
                verdicts.add(Cleanup.LEAK)
        return _best(verdicts) if verdicts else Cleanup.NONE

    def _framework(self) -> bool:
        """A StreamBuilder or a StreamProvider listens to the stream, and stops by itself."""
        for module in self._holding.found.modules.values():
            for site in module.calls:
                call = site.call
                if call.method == "StreamBuilder":
                    stream = call.argument(-1, "stream")
                    if stream is not None and self._holding.mentions(module, stream):
                        return True
        node, module = self._draft.node, self._draft.module
        return any(
            site.call.method.startswith("StreamProvider")
            and site.call.opening < node.start < site.call.end
            for site in module.calls
        )


def _best(verdicts: Iterable[Cleanup]) -> Cleanup:
    found = set(verdicts)
    return next((each for each in _RANK if each in found), Cleanup.NONE)


def _passes(expr: Expr, offset: int) -> bool:
    """The value at an offset is part of what the expression comes to."""
    if not expr.start <= offset < expr.end:
        return False
    match expr:
        case Name() | Lambda():
            return expr.start == offset
        case Awaited(value=inner):
            return _passes(inner, offset)
        case Choice(options=items) | Array(items=items):
            return any(_passes(each, offset) for each in items)
        case Record():
            parts = (*(value for _, value in expr.fields), *expr.spreads)
            return any(_passes(each, offset) for each in parts)
        case Call() if expr.method in CALLBACKS:
            return any(_passes(each, offset) for each in expr.arguments)
        case Literal():
            return False
    return False


def _tightest(module: Module, offset: int) -> CallSite | None:
    """The innermost call around an offset, within the same function."""
    function = innermost(module, offset)
    inside = [
        site
        for site in module.calls
        if site.call.start <= offset < site.call.end and site.function == function
    ]
    return min(inside, key=lambda site: site.call.end - site.call.start, default=None)


def _argument_around(module: Module, call: Call) -> CallSite | None:
    for site in module.calls:
        if any(each is call for each in site.call.arguments):
            return site
    return None


def _is_call(expr: Expr, call: Call) -> bool:
    while isinstance(expr, Awaited):
        expr = expr.value
    return expr is call


def _closing(module: Module, site: CallSite) -> Closing:
    call = site.call
    return Closing(
        module.path,
        call.line,
        call.method,
        Span(call.start, call.end),
        Span(site.start, site.end),
    )
