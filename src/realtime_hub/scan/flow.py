"""Whether every way out of a function closes what was opened in it.

A function is walked with the states that its channel may be in. Both branches of a test are taken,
but for tests of the channel itself. Only what is written counts as a way out: `return`, `throw`,
the function's end, and the handler of a `try` in which something is awaited; that any call may
raise does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from realtime_hub.scan.syntax import Branch, Exit, Fork, Function, Module, Try

_NOTHING: Final = r"\s*(?:null|undefined|None)"
_PATH: Final = r"[\w.$?]+!?(?:\[\w+\])?"
_PRESENT: Final = re.compile(rf"(?:!!\s*)?{_PATH}(?:\s*(?:!==?|is\s+not){_NOTHING})?")
_ABSENT: Final = re.compile(rf"(?:!\s*|not\s+){_PATH}|{_PATH}\s*(?:===?|is){_NOTHING}")
_AND: Final = re.compile(r"&&|\band\b")
_OR: Final = re.compile(r"\|\||\bor\b")


class State(Enum):
    """Of a channel. KEPT: it is closed when its owner ends, whatever happens until then."""

    ABSENT = auto()
    OPEN = auto()
    CLOSED = auto()
    KEPT = auto()


class Step(Enum):
    """What happens at a place. KEPT: a clean-up is registered. ENDLESS: nothing comes behind."""

    MADE = auto()
    CLOSED = auto()
    KEPT = auto()
    ENDLESS = auto()


States = frozenset[State]
Item = tuple[int, int, Fork | Try | Exit | Step | None]
"""When it comes, where it begins, what it is; both are offsets."""

_NONE: Final[States] = frozenset()
_AFTER: Final[Mapping[Step, Mapping[State, State]]] = {
    Step.MADE: {each: State.OPEN for each in State if each is not State.KEPT},
    Step.CLOSED: {State.OPEN: State.CLOSED},
    Step.KEPT: dict.fromkeys(State, State.KEPT),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a walk must know of the channel.

    steps: by offset. passes_on: a `return` gives away the channel, or what closes it. about: the
    text between two offsets names the channel. fallible: offsets of what is awaited.
    """

    steps: Mapping[int, Step]
    passes_on: Callable[[Exit], bool]
    about: Callable[[int, int], bool]
    fallible: tuple[int, ...] = ()


class Flow:
    """One walk through a function."""

    def __init__(self, module: Module, function: Function, facts: Facts) -> None:
        self._module = module
        self._function = function
        self._facts = facts
        self._items = sorted(self._found(), key=lambda item: item[0])
        self._left_open = False
        self._raised: list[set[State]] = []

    def closes_always(self) -> bool:
        """No way out leaves the channel open."""
        start, end = self._function.start, self._function.end
        states = self._block(start, end, frozenset({State.ABSENT}))
        return State.OPEN not in states and not self._left_open

    def _found(self) -> Iterator[Item]:
        for fork in self._module.forks:
            if fork.branches:
                yield fork.branches[0].start - 1, fork.branches[0].start - 1, fork
        for each in self._module.tries:
            yield each.body[0] - 1, each.body[0] - 1, each
        for leaving in self._module.exits:
            if leaving.function == self._function.number:
                yield leaving.end - 1, leaving.start, leaving
        for start, end in self._module.endless:
            yield end - 1, start, Step.ENDLESS
        yield from ((at, at, step) for at, step in self._facts.steps.items())
        yield from ((at, at, None) for at in self._facts.fallible)

    def _block(self, start: int, end: int, states: States) -> States:
        """States behind a part of the text."""
        covered = (start, start)
        for _, at, item in self._items:
            if not start <= at < end or covered[0] <= at < covered[1] or not states:
                continue
            match item:
                case Fork():
                    states = self._fork(item, states)
                    covered = (at, max(branch.end for branch in item.branches))
                case Try():
                    states = self._try(item, states)
                    covered = (at, item.end)
                case Exit():
                    self._leave(item, states)
                    states = _NONE
                case Step.ENDLESS:
                    states = _NONE
                case Step():
                    states = frozenset(_AFTER[item].get(state, state) for state in states)
                case None if self._raised:
                    self._raised[-1].update(states)
        return states

    def _leave(self, leaving: Exit, states: States) -> None:
        if leaving.raised and self._raised:
            self._raised[-1].update(states)
        elif State.OPEN in states and not self._facts.passes_on(leaving):
            self._left_open = self._left_open or not self._finally(leaving.start)

    def _finally(self, offset: int) -> bool:
        """What stands there is tried, and closed in the end."""
        return any(
            each.final is not None
            and each.body[0] <= offset < each.final[0]
            and self._closes(each.final)
            for each in self._module.tries
        )

    def _closes(self, part: tuple[int, int]) -> bool:
        return any(
            part[0] <= at < part[1] and step in {Step.CLOSED, Step.KEPT}
            for at, step in self._facts.steps.items()
        )

    # Branches

    def _fork(self, fork: Fork, states: States) -> States:
        out: States = _NONE
        rest = states
        for branch in fork.branches:
            taken, rest = self._split(branch, rest)
            out |= self._block(branch.start, branch.end, taken)
        return out if fork.total else out | rest

    def _split(self, branch: Branch, states: States) -> tuple[States, States]:
        """States in which a branch is taken, and in which it is not."""
        match self._is_present(*branch.test):
            case True:
                return states - {State.ABSENT}, states - {State.OPEN}
            case False:
                return states - {State.OPEN}, states
        return states, states

    def _is_present(self, start: int, end: int) -> bool | None:
        """A test says that there is a channel, or that there is none; None: neither."""
        text = self._module.text[start:end]
        for word, decisive in ((_OR, True), (_AND, False)):
            cuts = [found.span() for found in word.finditer(text)]
            if cuts:
                starts = [0, *(cut[1] for cut in cuts)]
                ends = [*(cut[0] for cut in cuts), len(text)]
                said = {
                    self._is_present(start + a, start + b)
                    for a, b in zip(starts, ends, strict=True)
                }
                return said.pop() if len(said) == 1 else decisive if decisive in said else None
        if not text or not self._facts.about(start, end):
            return None
        text = text.strip().strip("()").strip()
        return False if _ABSENT.fullmatch(text) else True if _PRESENT.fullmatch(text) else None

    def _try(self, tried: Try, states: States) -> States:
        caught = bool(tried.handlers) or (tried.final is not None and self._closes(tried.final))
        raised: set[State] = set()
        if caught:
            self._raised.append(raised)
        out = self._block(*tried.body, states)
        if caught:
            self._raised.pop()
        for handler in tried.handlers:
            out |= self._block(*handler, frozenset(raised))
        return out if tried.final is None else self._block(*tried.final, out)
