"""How a channel is closed: by which call, and whether that call is reached when its owner ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from realtime_hub.scan.channels import Draft
from realtime_hub.scan.closings import Closings
from realtime_hub.scan.handles import Holding
from realtime_hub.scan.lifecycle import (
    CALLBACKS,
    EFFECTS,
    TEARDOWN_METHODS,
    THROUGH,
)
from realtime_hub.scan.model import Cleanup, Closing, Span, Style
from realtime_hub.scan.shapes import (
    argument_around,
    argument_of,
    assigned_to_field,
    called_at_once,
    is_cancelling,
    mentions_of,
    names_of,
    passes,
    returned_by_parent,
    tightest,
)
from realtime_hub.scan.surroundings import innermost
from realtime_hub.scan.syntax import (
    CallSite,
    Function,
    Module,
    Use,
)
from realtime_hub.scan.values import Values
from realtime_hub.scan.ways import Ways

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
        self._closings = Closings(values, draft, self._holding)
        self._ways = Ways(values, draft, self._holding, self._closings)
        self._busy: set[tuple[str, int]] = set()
        self.dropped: list[tuple[Module, CallSite]] = []
        """Calls that return what closes the channel, and whose value is let go."""

    def judge(self) -> tuple[Cleanup, list[Closing], list[Closing]]:
        """How it is closed, the calls that do it, and those that do it with other channels."""
        sites, ending = self._closings.own, self._closings.common
        verdicts = [self._at(module, site.call.start, _DEPTH) for module, site in sites]
        verdicts = [
            self._by_caller(module, site, verdict)
            for (module, site), verdict in zip(sites, verdicts, strict=True)
        ]
        for module, site in ending:
            if self._at(module, site.call.start, _DEPTH) is not Cleanup.PARTIAL:
                verdicts.append(Cleanup.ALL)
        if self._draft.style is Style.STREAM and self._framework():
            verdicts.append(Cleanup.YES)
        if not verdicts:
            verdicts.append(self._given_away())
        closings = [[_closing(*each) for each in calls] for calls in (sites, ending)]
        return _best(verdicts), closings[0], closings[1]

    def _by_caller(self, module: Module, site: CallSite, verdict: Cleanup) -> Cleanup:
        """Another component that was given the channel, and closes it, is a caller."""
        if verdict is not Cleanup.YES:
            return verdict
        givers = [
            (path, function)
            for path, number in self._holding.found.returning
            for function in [self._holding.found.modules[path].functions[number]]
            if argument_of(self._holding.found.modules[path], function) is None
            and self._ways.holds_creation(self._holding.found.modules[path], function)
        ]
        inside = any(
            path == module.path and function.start <= site.call.start < function.end
            for path, function in givers
        )
        return Cleanup.CALLER if givers and not inside else verdict

    # Where a closing call runs

    def _at(self, module: Module, offset: int, depth: int) -> Cleanup:
        function = module.functions[innermost(module, offset)]
        if any(t.final and t.final[0] <= offset < t.final[1] for t in module.tries):
            return self._straight(module, function)
        if depth == 0:
            return Cleanup.MANUAL
        for function in module.enclosing(innermost(module, offset)):
            if self._ways.holds_creation(module, function):
                return self._straight(module, function)
            verdict = self._function(module, function, depth)
            if verdict is not None:
                return verdict
        same = module is self._draft.module
        return self._straight(module, module.functions[0]) if same else Cleanup.MANUAL

    def _straight(self, module: Module, function: Function) -> Cleanup:
        """What a closing in the run of a function amounts to."""
        always = self._ways.closed_on_all(module, function, or_passed_on=False)
        return Cleanup.YES if always else Cleanup.PARTIAL

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
        if is_cancelling(module, function):
            return Cleanup.CALLER
        site = argument_of(module, function)
        if site is not None and site.call.method not in CALLBACKS:
            return self._argument(module, site)
        verdicts = [Cleanup.MANUAL] if function.method else []
        if returned_by_parent(module, function):
            verdicts.append(self.returned(module, function.parent, depth - 1))
        names = names_of(module, function)
        verdicts += [
            self.mentioned(module, at, depth - 1) for at, _ in mentions_of(module, function)
        ]
        if function.declared_at >= 0 or names:
            verdicts += self._elsewhere(module, function, depth - 1)
        if called_at_once(module, function):
            return None
        return _best(verdicts) if verdicts else Cleanup.MANUAL

    def _argument(self, module: Module, site: CallSite) -> Cleanup | None:
        """What giving a closing function to a call amounts to; None if it runs there."""
        method = site.call.method
        if self._ways.registers(module, site):
            return self._straight(module, module.functions[site.function])
        if method in THROUGH:
            return None
        return Cleanup.PARTIAL if method in {"subscribe", "onSystem"} else Cleanup.MANUAL

    def mentioned(self, module: Module, offset: int, depth: int) -> Cleanup:
        """What becomes of a closing function at a place where it is named."""
        site = tightest(module, offset)
        if site is not None and site.call.start <= offset < site.call.opening:
            return self._at(module, offset, depth)
        if site is not None and site.call.opening < offset:
            if site.call.method in EFFECTS:
                return Cleanup.MANUAL
            inside = any(each.start <= offset < each.end for each in site.call.arguments)
            if inside and self._ways.registers(module, site):
                return self._straight(module, module.functions[site.function])
        for around in module.enclosing(innermost(module, offset)):
            if any(passes(each, offset) for each in around.returns):
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
        verdict = self._returned(module, number, depth)
        kept = verdict in {Cleanup.YES, Cleanup.CALLER, Cleanup.RETURNED}
        function = module.functions[number]
        if kept and not self._ways.closed_on_all(module, function, or_passed_on=True):
            return Cleanup.PARTIAL
        return verdict

    def _returned(self, module: Module, number: int, depth: int) -> Cleanup:
        function = module.functions[number]
        if depth <= 0 or number == 0:
            return Cleanup.RETURNED
        site = argument_of(module, function)
        while site is not None and site.call.method in CALLBACKS:
            outer = argument_around(module, site.call)
            if outer is None:
                break
            site = outer
        if site is not None and site.call.method in EFFECTS:
            return Cleanup.LEAK if function.is_async else Cleanup.YES
        if site is not None and site.call.method not in CALLBACKS | THROUGH:
            return Cleanup.MANUAL  # a store's: whoever uses it may call it
        if site is not None and site.call.method in THROUGH and site.use is Use.DISCARDED:
            return self._kept_at(module, site, depth)
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
        sites += [(module, site) for site in called_at_once(module, function)]
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
        places = self._ways.kept(module, site)
        found = [self.mentioned(module, at, depth) for at, _ in places]
        if not found and assigned_to_field(module, site):
            return Cleanup.MANUAL  # `window.store = (() => { ... return { open, close } })()`
        return _best(found) if found else Cleanup.LEAK

    @staticmethod
    def _referred_effect(module: Module, function: Function) -> bool:
        """`useEffect(subscribe, [])`."""
        for offset in module.references.get(function.name, ()):
            site = tightest(module, offset)
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
            if argument_of(module, function) is not None:
                continue
            sites = self._values.callers(module, number)
            if not sites:
                verdicts.add(Cleanup.RETURNED)
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


def _closing(module: Module, site: CallSite) -> Closing:
    call = site.call
    return Closing(
        module.path,
        call.line,
        call.method,
        Span(call.start, call.end),
        Span(site.start, site.end),
    )
