"""Questions about the shape of a file's code: what a function is an argument of, what is called."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_hub.scan.lifecycle import CALLBACKS
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
    Member,
    Module,
    Name,
    Record,
    unwrapped,
)


def argument_of(module: Module, function: Function) -> CallSite | None:
    """The call that a function is written as an argument of."""
    for site in module.calls:
        for each in (*site.call.arguments, *(value for _, value in site.call.keywords)):
            if isinstance(each, Lambda) and each.function == function.number:
                return site
    return None


def argument_around(module: Module, call: Call) -> CallSite | None:
    """The call that another one is an argument of."""
    for site in module.calls:
        if any(each is call for each in site.call.arguments):
            return site
    return None


def called_at_once(module: Module, function: Function) -> list[CallSite]:
    """`(async () => { ... })()`."""
    return [
        site
        for site in module.calls
        if isinstance(site.call.function, Lambda) and site.call.function.function == function.number
    ]


def tightest(module: Module, offset: int) -> CallSite | None:
    """The innermost call around an offset, within the same function."""
    function = innermost(module, offset)
    inside = [
        site
        for site in module.calls
        if site.call.start <= offset < site.call.end and site.function == function
    ]
    return min(inside, key=lambda site: site.call.end - site.call.start, default=None)


def passes(expr: Expr, offset: int) -> bool:
    """The value at an offset is part of what the expression comes to."""
    if not expr.start <= offset < expr.end:
        return False
    match expr:
        case Name() | Lambda():
            return expr.start == offset
        case Awaited(value=inner):
            return passes(inner, offset)
        case Choice(options=items) | Array(items=items):
            return any(passes(each, offset) for each in items)
        case Record():
            parts = (*(value for _, value in expr.fields), *expr.spreads)
            return any(passes(each, offset) for each in parts)
        case Call() if expr.method in CALLBACKS:
            return any(passes(each, offset) for each in expr.arguments)
    return False


def assigned_to_field(module: Module, site: CallSite) -> bool:
    """A field of an object takes what a call returns."""
    return any(
        isinstance(write.target, Member)
        and write.value is not None
        and unwrapped(write.value) is site.call
        for write in module.assignments
    )


def names_of(module: Module, function: Function) -> set[str]:
    """Its own name, and that of a variable that holds `useCallback(function)`."""
    found = {function.name}
    for write in module.assignments:
        value = write.value
        if isinstance(value, Call) and value.start <= function.start < value.end:
            inner = value.arguments[:1]
            held = inner and isinstance(inner[0], Lambda)
            if held and inner[0].start == function.start and isinstance(write.target, Name):
                found.add(write.target.name)
                break
    return found - {""}


def mentions_of(module: Module, function: Function) -> Iterator[tuple[int, str]]:
    """Where a function's name is written outside of it, and the name."""
    for name in names_of(module, function):
        for offset in module.references.get(name, ()):
            if not function.start <= offset < function.end:
                yield offset, name


def returned_by_parent(module: Module, function: Function) -> bool:
    """The function around it returns it, as it is or in an object, also through a variable."""
    parent = module.functions[function.parent]
    names = {each.name for each in parent.returns if isinstance(each, Name)}
    kept = [
        write.value
        for write in module.assignments
        if write.function == parent.number
        and isinstance(write.target, Name)
        and write.target.name in names
        and write.value is not None
    ]
    return any(passes(each, function.start) for each in (*parent.returns, *kept))


def is_cancelling(module: Module, function: Function) -> bool:
    """Dart's `controller.onCancel = () { ... }` and `StreamController(onCancel: () { ... })`."""

    def given(value: Expr | None) -> bool:
        return isinstance(value, Lambda) and value.function == function.number

    keywords = (each for site in module.calls for each in site.call.keywords)
    targets = ((w.target.name, w.value) for w in module.assignments if isinstance(w.target, Member))
    return any(name == "onCancel" and given(value) for name, value in (*keywords, *targets))
