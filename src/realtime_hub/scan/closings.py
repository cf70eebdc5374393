"""Which calls close a channel: itself, with all others, or with its client."""

from __future__ import annotations

import re
from functools import cached_property

from realtime_hub.scan.bound import Value
from realtime_hub.scan.channels import Draft
from realtime_hub.scan.handles import Holding
from realtime_hub.scan.model import Style
from realtime_hub.scan.scopes import Given, Looped
from realtime_hub.scan.shapes import argument_of
from realtime_hub.scan.syntax import Call, CallSite, Expr, Member, Module, Name, walk
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import (
    CLOSING,
    DISCONNECTING,
    EACH,
    LISTING,
    REMOVING,
    REMOVING_ALL,
)

Site = tuple[Module, CallSite]
Identity = tuple[object, ...]


class Closings:
    """Looks through the files that the channel gets to."""

    def __init__(self, values: Values, draft: Draft, holding: Holding) -> None:
        self._values = values
        self._draft = draft
        self._holding = holding
        sites = [(m, site) for m in holding.found.modules.values() for site in m.calls]
        self.own = [(m, site) for m, site in sites if self._closes(m, site.call)]
        """Calls that close this channel."""
        self.common = [(m, site) for m, site in sites if self._closes_all(m, site.call)]
        """Those that close all channels, or the client itself."""

    def _closes(self, module: Module, call: Call) -> bool:
        if self._draft.style is Style.RAW:
            return call.method in DISCONNECTING
        if call.method in EACH and call.receiver is not None and call.arguments:
            passed = call.arguments[0]
            named = isinstance(passed, Member) and passed.name in REMOVING | CLOSING
            return named and self._holding.mentions(module, call.receiver)
        return any(
            self._is_own(module, each) or self._is_picked(module, call, each)
            for each in _closed(call)
        )

    def _is_own(self, module: Module, expr: Expr) -> bool:
        """It is the channel, or one got again by the same name."""
        if self._holding.holds(module, expr):
            return True
        return self._name is not None and any(
            isinstance(each, Call)
            and each.method == "channel"
            and bool(each.arguments)
            and self._values.text(Value(each.arguments[0], module)) == self._name
            for each in self._holding.flows(module, expr)
        )

    @cached_property
    def _name(self) -> str | None:
        name = self._draft.name
        return None if name is None else self._values.text(Value(name, self._draft.module))

    # Looking through `client.getChannels()`

    def _is_picked(self, module: Module, call: Call, expr: Expr) -> bool:
        """It is one of the client's channels, picked by this one's name."""
        if self._name is None:
            return False
        quoted = re.compile(rf"['\"`](?:realtime:)?{re.escape(self._name)}['\"`]")
        return any(quoted.search(test) for test in self._tests(module, call, expr) or ())

    def _tests(self, module: Module, call: Call, expr: Expr) -> list[str] | None:
        """What is asked of one of all channels before it is closed; None if it is no such."""
        start = self._looked_through(module, expr)
        if start is None:
            return None
        return [
            module.text[slice(*branch.test)]
            for branch in module.branches
            if start <= branch.start <= call.start < branch.end
        ]

    def _looked_through(self, module: Module, expr: Expr) -> int | None:
        """Where the loop over all channels begins whose variable it is."""
        meaning = self._values.meaning(module, expr) if isinstance(expr, Name) else None
        if isinstance(meaning, Looped) and _lists_all(meaning.loop.iterable):
            return meaning.loop.start
        if isinstance(meaning, Given):
            site = argument_of(module, module.functions[meaning.function])
            if site is not None and site.call.method in EACH and site.call.receiver is not None:
                return site.call.start if _lists_all(site.call.receiver) else None
        return None

    # All channels at once

    def _closes_all(self, module: Module, call: Call) -> bool:
        if call.method in REMOVING_ALL or self._ends_client(module, call):
            return True
        return any(self._tests(module, call, each) == [] for each in _closed(call))

    def _ends_client(self, module: Module, call: Call) -> bool:
        if call.method not in DISCONNECTING or call.receiver is None:
            return False
        return not self._client.isdisjoint(self._identities(module, call.receiver))

    @cached_property
    def _client(self) -> set[Identity]:
        client = self._draft.client
        return set() if client is None else self._identities(self._draft.module, client)

    def _identities(self, module: Module, client: Expr) -> set[Identity]:
        """What identifies a client: its variable, and where it is made."""
        if isinstance(client, Member) and client.name == "realtime":
            client = client.object
        place = self._values.scopes(module).place(client)
        made: set[Identity] = {
            (each.module.path, each.expr.start, each.expr.end)
            for each in self._values.reduce(Value(client, module))
        }
        return made if place is None else made | {(module.path, *place)}


def _closed(call: Call) -> tuple[Expr, ...]:
    """What a call closes, if it is a channel."""
    if call.method in REMOVING:
        return call.arguments
    if call.method in CLOSING and call.receiver is not None:
        return (call.receiver,)
    return ()


def _lists_all(expr: Expr) -> bool:
    return any(isinstance(each, Call) and each.method in LISTING for each in walk(expr))
