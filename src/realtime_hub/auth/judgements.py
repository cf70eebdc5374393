"""Answers that may still be on their way, joined into verdicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from realtime_hub.errors import UndecidedError
from realtime_hub.hub.ports import Judgement, Verdict

Holds: TypeAlias = bool | asyncio.Future[bool]
"""Whether a row passes the policies, or the promise to tell."""


def verdict(holds: Holds, given: Verdict) -> Judgement:
    """`given` if it holds, else WITHHELD."""
    return _concluded([holds], lambda answers: given if answers[0] else Verdict.WITHHELD)


def verdict_of_both(new: Holds, old: Holds) -> Judgement:
    """What an UPDATE shows to who may see the new row, and perhaps the old one."""
    return _concluded([new, old], _both)


def _both(answers: Sequence[bool]) -> Verdict:
    new, old = answers
    if not new:
        return Verdict.WITHHELD
    return Verdict.ALL if old else Verdict.NEW_ONLY


def _concluded(parts: Sequence[Holds], conclude: Callable[[Sequence[bool]], Verdict]) -> Judgement:
    """At once if all is known, else a promise; the first failure is its own."""
    open_parts = [part for part in parts if isinstance(part, asyncio.Future)]
    if not open_parts:
        return conclude([part for part in parts if isinstance(part, bool)])
    promise: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    left = len(open_parts)

    def answered(part: asyncio.Future[bool]) -> None:
        nonlocal left
        left -= 1
        error = UndecidedError("given up") if part.cancelled() else part.exception()
        if promise.done():
            return
        if error is not None:
            promise.set_exception(error)
        elif left == 0:
            promise.set_result(conclude([p if isinstance(p, bool) else p.result() for p in parts]))

    for part in open_parts:
        part.add_done_callback(answered)
    return promise


def hand_on(judged: Judgement, promise: asyncio.Future[Verdict]) -> None:
    """Let a promise come true as a judgement does."""
    if isinstance(judged, Verdict):
        promise.set_result(judged)
        return

    def answered(part: asyncio.Future[Verdict]) -> None:
        if promise.done():
            return
        error = UndecidedError("given up") if part.cancelled() else part.exception()
        if error is not None:
            promise.set_exception(error)
        else:
            promise.set_result(part.result())

    judged.add_done_callback(answered)
