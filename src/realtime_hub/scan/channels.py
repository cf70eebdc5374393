"""Finds where channels are made, and which calls listen on, open and close each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from realtime_hub.scan.bindings import Listening, Listenings
from realtime_hub.scan.bound import Blocker, Env, Value
from realtime_hub.scan.expansion import Expanded, Expansion
from realtime_hub.scan.frames import frames
from realtime_hub.scan.model import CHANGES, Style
from realtime_hub.scan.syntax import Call, CallSite, Expr, Module, Node, Spread
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import CLOSING, METHODS, OPENING, SENDING

_CLIENTS: Final = ("supabase", "realtime", "client", "sb")
_USES: Final = OPENING | SENDING | CLOSING


@dataclass(frozen=True, slots=True)
class Use:
    """A call on a channel."""

    module: Module
    site: CallSite


@dataclass(frozen=True, slots=True)
class Attached:
    """A listening call on a channel, and the way there if it is made through a function."""

    listening: Listening
    way: Expanded


@dataclass(slots=True)
class Draft:
    """A channel while its parts are gathered. node: the call that makes it. name: of its topic."""

    module: Module
    style: Style
    node: Node
    function: int
    name: Expr | None
    client: Expr | None
    attached: list[Attached] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)

    def used_by(self, methods: Iterable[str]) -> list[Use]:
        return [use for use in self.uses if use.site.call.method in methods]


class Channels:
    """All channels of a project's modules."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._expansion = Expansion(values)
        self._listenings = Listenings(values)
        self._drafts: dict[tuple[str, int, int], Draft] = {}

    def find(self) -> list[Draft]:
        """Those that are Supabase's, in order of their places."""
        sites = [(m, site) for m in self._values.project.known for site in m.calls]
        for module, site in sites:
            draft = _made(module, site)
            if draft is not None:
                self._drafts[_key(module, site.call)] = draft
                if draft.style is Style.STREAM:
                    listening = self._listenings.stream(module, site)
                    draft.attached.append(Attached(listening, Expanded({})))
        for module, site in sites:
            self._attach(module, site)
        for module in self._values.project.known:
            self._join(module)
        found = [draft for draft in self._drafts.values() if self._is_realtime(draft)]
        return sorted(found, key=lambda draft: (draft.module.path, draft.node.start))

    def _join(self, module: Module) -> None:
        for frame in frames(module):
            draft = Draft(module, Style.RAW, frame.node, frame.function, frame.topic, None)
            draft.attached += [
                Attached(listening, way)
                for listening, way in self._listenings.joined(frame, module)
            ]
            self._drafts[_key(module, frame.node)] = draft

    def _attach(self, module: Module, site: CallSite) -> None:
        receiver = site.call.receiver
        if receiver is None:
            return
        listening = self._listenings.read(module, site)
        if listening is not None:
            made = list(self._origins(Value(receiver, module)))
            for draft, way in made:
                draft.attached.append(Attached(listening, way))
            if not made and self._certain(listening):
                self._orphan(listening, receiver)
        elif site.call.method in _USES:
            for draft, _ in self._origins(Value(receiver, module)):
                draft.uses.append(Use(module, site))

    def origins(self, value: Value) -> list[Draft]:
        """The channels that an expression may mean."""
        return [draft for draft, _ in self._origins(value)]

    def _origins(self, value: Value) -> Iterator[tuple[Draft, Expanded]]:
        def evaluate(env: Env, blockers: list[Blocker]) -> list[Draft]:
            given = Value(value.expr, value.module, {**value.env, **env})
            found = []
            for each in self._values.reduce(given):
                draft = self._drafts.get(_key(each.module, each.expr))
                if draft is not None:
                    found.append(draft)
                else:
                    self._values.blocked(each, blockers)
            if found:
                blockers.clear()
            return found

        seen = set()
        for drafts, way in self._expansion.all(evaluate):
            for draft in drafts:
                key = (id(draft), id(way) if way.sites else 0)
                if key not in seen:
                    seen.add(key)
                    yield draft, way

    @staticmethod
    def _certain(listening: Listening) -> bool:
        """Other emitters have `on('presence', ...)` too; nothing else listens to table changes."""
        call = listening.node
        if not isinstance(call, Call):
            return listening.kind == CHANGES
        hidden = call.arguments and isinstance(call.arguments[0], Spread)
        return call.method in METHODS or (listening.kind == CHANGES and not hidden)

    def _orphan(self, listening: Listening, receiver: Expr) -> None:
        """A binding whose channel can't be followed is still one."""
        module = listening.module
        base = _base(receiver)
        key = _key(module, base)
        draft = self._drafts.get(key)
        if draft is None:
            draft = Draft(module, Style.CHANNEL, base, listening.function, None, None)
            self._drafts[key] = draft
        draft.attached.append(Attached(listening, Expanded({})))

    def _is_realtime(self, draft: Draft) -> bool:
        if draft.attached:
            return True
        if draft.style is not Style.CHANNEL or draft.client is None:
            return draft.style is Style.RAW
        # Without a binding only a Supabase client's channel counts: brokers have channels too.
        used = bool(draft.used_by(OPENING | SENDING))
        return used and self._is_client(Value(draft.client, draft.module))

    def _is_client(self, client: Value) -> bool:
        words = client.code.lower()
        if any(word in words for word in _CLIENTS[:2]):
            return True
        return any(
            "createclient" in each.code.lower().replace("_", "")[:60]
            for each in self._values.reduce(client)
        )


def _made(module: Module, site: CallSite) -> Draft | None:
    call = site.call
    name = call.argument(0, "topic") or call.argument(-1, "name")
    if call.receiver is None or call.new:
        return None
    if call.method in {"channel", "set_channel"} and name is not None:
        return Draft(module, Style.CHANNEL, call, site.function, name, call.receiver)
    if call.method == "stream" and any(key == "primaryKey" for key, _ in call.keywords):
        return Draft(module, Style.STREAM, call, site.function, _table(call), call.receiver)
    if call.method in {"from", "from_"} and len(call.arguments) == 1:
        return Draft(module, Style.V1, call, site.function, name, call.receiver)
    return None


def _table(call: Call) -> Expr | None:
    inner = call.receiver
    return inner.argument(0) if isinstance(inner, Call) else None


def _base(receiver: Expr) -> Expr:
    """What a chain of listening calls begins with."""
    while isinstance(receiver, Call) and receiver.receiver is not None:
        if receiver.method not in METHODS and receiver.method != "on":
            break
        receiver = receiver.receiver
    return receiver


def _key(module: Module, node: Node) -> tuple[str, int, int]:
    return module.path, node.start, node.end
