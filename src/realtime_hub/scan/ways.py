"""Ways out of the functions in which a channel is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.channels import Draft
from realtime_hub.scan.closings import Closings
from realtime_hub.scan.flow import Facts, Flow, Step
from realtime_hub.scan.handles import Holding
from realtime_hub.scan.lifecycle import CALLBACKS, ENDS, LISTENING, TEARDOWN_CALLS, THROUGH
from realtime_hub.scan.shapes import (
    argument_of,
    called_at_once,
    mentions_of,
    returned_by_parent,
    tightest,
)
from realtime_hub.scan.surroundings import innermost
from realtime_hub.scan.syntax import (
    CallSite,
    Exit,
    Function,
    Lambda,
    Member,
    Module,
    Name,
    unwrapped,
    walk,
)
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import CLOSING, OPENING

_DEPTH: Final = 8

Place = tuple[Module, int]
Key = tuple[str, int]


class Ways:
    """Knows where in a function a channel is made and closed, also by functions called there."""

    def __init__(self, values: Values, draft: Draft, holding: Holding, closings: Closings) -> None:
        self._values = values
        self._draft = draft
        self._holding = holding
        self._known: dict[tuple[str, int, bool], bool] = {}
        sites = [*closings.own, *closings.common]
        self._sites: list[Place] = [(module, site.call.start) for module, site in sites]
        self._closers: set[Key] = set()
        self._names: set[tuple[str, str]] = set()
        for place in self._sites:
            self._note_closers(place)

    def closed_on_all(self, module: Module, function: Function, *, or_passed_on: bool) -> bool:
        """Every way out of a function closes the channel; or_passed_on: or returns what does."""
        key = (module.path, function.number, or_passed_on)
        if key not in self._known:
            self._known[key] = self._walk(module, function, or_passed_on)
        return self._known[key]

    def holds_creation(self, module: Module, function: Function) -> bool:
        if module is not self._draft.module or function.is_class:
            return False
        return function.start <= self._draft.node.start < function.end

    def _walk(self, module: Module, function: Function, or_passed_on: bool) -> bool:
        made = (self._draft.module, self._draft.node.start)
        steps = dict(self._steps(made, Step.MADE, module, function))
        if not steps:
            return True
        for place in self._sites:
            for at, step in self._steps(place, Step.CLOSED, module, function):
                steps.setdefault(at, step)
        fallible = tuple(self._fallible(module, function, steps))

        def passes_on(leaving: Exit) -> bool:
            inside = any(leaving.start <= at < leaving.end for at in steps)
            return or_passed_on and (inside or self._passes_on(module, leaving))

        def about(start: int, end: int) -> bool:
            return self._holding.is_named(module, start, end)

        facts = Facts(steps, passes_on, about, fallible)
        return Flow(module, function, facts).closes_always()

    def registers(self, module: Module, site: CallSite) -> bool:
        """What a call is given runs when the owner ends."""
        if site.call.method in LISTENING:
            event = site.call.argument(0)
            return event is not None and self._values.text(Value(event, module)) in ENDS
        return site.call.method in TEARDOWN_CALLS

    # Where something happens, seen from a function

    def _steps(
        self,
        place: Place,
        step: Step,
        module: Module,
        function: Function,
        seen: frozenset[Key] = frozenset(),
    ) -> Iterator[tuple[int, Step]]:
        """Offsets within the function at which it happens: there, or where what holds it is
        called."""
        at_module, offset = place
        now: Step | None = step
        for around in at_module.enclosing(innermost(at_module, offset)):
            if at_module is module and around.number == function.number:
                yield offset, step
                return
            now = self._run(at_module, around, step)
            if now is None:
                break
            step = now
        else:
            if at_module is module and function.number == 0:
                yield offset, step
            return
        key = (at_module.path, around.number)
        if key not in seen and len(seen) < _DEPTH:
            for mention, then in self._mentions(at_module, around, step):
                yield from self._steps(mention, then, module, function, seen | {key})

    def _run(self, module: Module, function: Function, step: Step) -> Step | None:
        """What happens where a function is written, if it runs there; None if elsewhere."""
        if called_at_once(module, function):
            return step
        site = argument_of(module, function)
        if site is None or site.call.method in CALLBACKS:
            return None
        return self._given(module, site, step)

    def _given(self, module: Module, site: CallSite, step: Step) -> Step | None:
        """What happens where a function is given to a call."""
        if step is not Step.CLOSED or site.call.method in THROUGH:
            return step
        return Step.KEPT if self.registers(module, site) else None

    def _mentions(
        self, module: Module, function: Function, step: Step
    ) -> Iterator[tuple[Place, Step]]:
        """Where a function of its own is called, or given to what calls it."""
        for where, offset, _ in self._named(module, function):
            around = tightest(where, offset)
            if around is not None and around.call.start <= offset < around.call.opening:
                yield (where, offset), step
            elif around is not None:
                then = self._given(where, around, step)
                if then is not None:
                    yield (where, offset), then

    def _named(self, module: Module, function: Function) -> Iterator[tuple[Module, int, str]]:
        """Where a function is named: itself, or the variable that keeps it for a caller."""
        for caller, site in self._values.callers(module, function.number):
            if caller is not module or function.method:
                yield caller, site.call.start, site.call.method
        if not function.method:
            yield from ((module, at, name) for at, name in mentions_of(module, function))
        if returned_by_parent(module, function):
            for caller, site in self._values.callers(module, function.parent):
                for at, name in self.kept(caller, site):
                    yield caller, at, name

    def kept(self, module: Module, site: CallSite) -> Iterator[tuple[int, str]]:
        """Where the variable is named that a call's value is assigned to."""
        scopes = self._values.scopes(module)
        for write in module.assignments:
            if write.value is None or unwrapped(write.value) is not site.call:
                continue
            target = write.target
            name = getattr(target, "name", "")
            place = scopes.place(target)
            for at in module.references.get(name, ()):
                same = scopes.place(Name(at, at, 1, name)) == place
                if (same or not isinstance(target, Name)) and not site.start <= at < site.end:
                    yield at, name

    # What a function gives away

    def _note_closers(self, place: Place) -> None:
        """The functions that close the channel when they are called."""
        module, offset = place
        for around in module.enclosing(innermost(module, offset)):
            key = (module.path, around.number)
            if around.is_class or self.holds_creation(module, around) or key in self._closers:
                return
            self._closers.add(key)
            for where, at, name in list(self._named(module, around)):
                self._names.add((where.path, name))
                self._note_closers((where, at))

    def _passes_on(self, module: Module, leaving: Exit) -> bool:
        """A way out returns the channel, or a function that closes it."""
        if leaving.value is None:
            return False
        for each in walk(leaving.value):
            match each:
                case Lambda(function=number) if (module.path, number) in self._closers:
                    return True
                case Name(name=name) | Member(name=name):
                    if name in CLOSING or (module.path, name) in self._names:
                        return True
        return self._holding.mentions(module, leaving.value)

    def _fallible(
        self, module: Module, function: Function, steps: dict[int, Step]
    ) -> Iterator[int]:
        """Offsets of what is awaited and is not the channel's own making, opening or closing."""
        own = {use.site.call.start for use in self._draft.used_by(OPENING) if use.module is module}
        for each in module.awaits:
            if innermost(module, each.start) != function.number:
                continue
            if not any(each.start <= at < each.end for at in steps.keys() | own):
                yield each.end - 1
