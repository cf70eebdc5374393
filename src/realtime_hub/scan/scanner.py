"""Puts a scan together: files, channels, what they come to, and what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from realtime_hub.errors import SettingsError
from realtime_hub.scan.bindings import Listening
from realtime_hub.scan.bound import Blocker, Env, Value
from realtime_hub.scan.channels import Channels, Draft
from realtime_hub.scan.cleanup import Closer
from realtime_hub.scan.comments import commented_out
from realtime_hub.scan.expansion import Expanded, Expansion
from realtime_hub.scan.findings import Findings
from realtime_hub.scan.fresh import made_anew
from realtime_hub.scan.guards import Guards
from realtime_hub.scan.hubs import Hubs, is_shared
from realtime_hub.scan.model import (
    ANY,
    CHANGES,
    Binding,
    Channel,
    Finding,
    Place,
    Scan,
    Span,
    Subscription,
)
from realtime_hub.scan.project import Project
from realtime_hub.scan.sources import Progress, Sources
from realtime_hub.scan.surroundings import Reach, in_render, innermost, owner
from realtime_hub.scan.syntax import Call, CallSite, Module, Template
from realtime_hub.scan.values import Values
from realtime_hub.scan.vocabulary import OPENING
from realtime_hub.scan.widening import widened


def scan_folders(folders: Sequence[Path], progress: Progress) -> Scan:
    """See `realtime_hub.scan.scan`."""
    for folder in folders:
        if not folder.is_dir():
            raise SettingsError(f"no folder of source code at {folder}")
    tops = [folder.resolve() for folder in folders]
    root = Path(os.path.commonpath(tops))
    sources = Sources(root, tops)
    project = Project(sources.relevant(progress), sources.code, sources.load, sources.mentions)
    return Scanner(*widened(project, sources)).scan(sources)


class Scanner:
    """Describes the channels of a project."""

    def __init__(self, values: Values, drafts: Sequence[Draft]) -> None:
        self._drafts = drafts
        self.values = values
        self._expansion = Expansion(self.values)
        self._reach = Reach(values.project)
        self._guards = Guards(values)

    def scan(self, sources: Sources) -> Scan:
        channels: list[Channel] = []
        subscriptions: list[Subscription] = []
        findings: list[Finding] = []
        judge = Findings(self.values)
        for draft in self._drafts:
            closer = Closer(self.values, draft)
            channel = self.channel(draft, closer)
            channels.append(channel)
            findings += judge.of(draft, channel, closer)
            if channel.reachable:
                for attached in draft.attached:
                    found = self._effective(attached.listening, attached.way, channel.shared)
                    subscriptions += found
        for listening in Hubs(self.values).listenings():
            subscriptions += self._effective(listening, Expanded({}), shared=True)
        findings += judge.overwritten(zip(self._drafts, channels, strict=True))
        channels += self._commented()
        channels.sort(key=lambda each: (each.file, each.line))
        return Scan(
            files=len(sources.code) + len(sources.sql),
            unparsed=sorted(sources.unparsed),
            channels=channels,
            subscriptions=_distinct(each for each in subscriptions if each.proven),
            unresolved=_distinct(each for each in subscriptions if not each.proven),
            publication=sources.publication(),
            findings=sorted(set(findings), key=lambda each: (each.file, each.line, each.rule)),
        )

    def _commented(self) -> Iterator[Channel]:
        for module in self.values.project.known:
            for hidden in commented_out(module):
                values = Values(Project([hidden]))
                drafts = Channels(values).find()
                scanner = Scanner(values, drafts)
                for draft in drafts:
                    found = scanner.channel(draft, Closer(scanner.values, draft))
                    inside = innermost(module, draft.node.start)
                    whose = owner(module, inside, draft.node.start)
                    yield replace(found, owner=whose, reachable=False, commented=True)

    def channel(self, draft: Draft, closer: Closer) -> Channel:
        """One channel, described."""
        module, node = draft.module, draft.node
        cleanup, closings, ending = closer.judge()
        opened = draft.used_by(OPENING)
        opened_here = any(use.site.function == draft.function for use in opened)
        chain, site = _chain(draft)
        name, kind = self._name(draft)
        return Channel(
            file=module.path,
            line=node.line,
            owner=owner(module, draft.function, node.start),
            name=name,
            name_kind=kind,
            unique_per_mount=draft.name is not None
            and made_anew(self.values, Value(draft.name, module)),
            style=draft.style,
            cleanup=cleanup,
            reachable=self._reach.reached(module, draft.function, node.start),
            in_render=opened_here and in_render(module, draft.function),
            bindings=self._bindings(draft),
            shared=is_shared(self.values, draft, closings),
            variable=_variable(module, chain),
            call=Span(node.start, node.end),
            client=Span(node.start, node.start)
            if draft.client is None
            else Span(draft.client.start, draft.client.end),
            chain=chain,
            statement=chain if site is None else Span(site.start, site.end),
            subscribe=[Span(use.site.call.start, use.site.call.end) for use in opened],
            closings=closings,
            ending=ending,
        )

    def _bindings(self, draft: Draft) -> list[Binding]:
        found: dict[tuple[str, int], Binding] = {}
        for attached in draft.attached:
            binding = attached.listening.binding(attached.way.env)
            key = (binding.file, binding.call.end)
            known = found.get(key)
            if known is None:
                found[key] = binding
            elif known != binding:
                found[key] = attached.listening.binding({})
        path = draft.module.path
        return sorted(found.values(), key=lambda each: (each.file != path, each.call.end))

    def _name(self, draft: Draft) -> tuple[str, str]:
        """The source expression, and what it comes to."""
        if draft.name is None:
            return draft.module.code(draft.node), "dynamic"
        value = Value(draft.name, draft.module)
        if self.values.text(value) is not None:
            return value.code, "literal"
        reduced = self.values.reduce(value)
        template = len(reduced) == 1 and isinstance(reduced[0].expr, Template)
        return value.code, "template" if template else "dynamic"

    # What they come to

    def _effective(self, listening: Listening, start: Expanded, shared: bool) -> list[Subscription]:
        if listening.kind != CHANGES:
            return []
        module, line = listening.module, listening.node.line

        def evaluate(env: Env, blockers: list[Blocker]) -> Binding:
            return listening.binding(env, blockers)

        found = []
        for binding, way in self._expansion.all(evaluate, start):
            place = way.place(module, line)
            caller, function, at = module, listening.function, listening.node.start
            if way.sites:
                caller, site = way.sites[-1]
                function, at = site.function, site.call.start
            if not self._reach.reached(caller, function, at):
                continue
            if self._guards.rule_out(module, listening.node.start, way.env):
                continue
            found.append(
                Subscription(
                    table=binding.table.text or ANY,
                    schema=binding.schema.text or "public",
                    event=binding.event.text or ANY,
                    filter=binding.filter,
                    place=place,
                    binding=Place(module.path, line),
                    owner=owner(caller, function, at),
                    proven=binding.proven,
                    shared=shared,
                )
            )
        return found


def _chain(draft: Draft) -> tuple[Span, CallSite | None]:
    """The longest chain of calls that begins with the channel."""
    best: CallSite | None = None
    inner = draft.node
    for site in draft.module.calls:
        if site.call is inner and best is None:
            best = site
        if site.call.receiver is inner and isinstance(inner, Call):
            inner, best = site.call, site
    return Span(draft.node.start, inner.end), best


def _variable(module: Module, chain: Span) -> str | None:
    for write in module.assignments:
        value = None if write.path else write.value
        if value is not None and value.start <= chain.start and chain.end == value.end:
            return module.code(write.target)
    return None


def _distinct(found: Iterable[Subscription]) -> list[Subscription]:
    return sorted(set(found), key=lambda s: (s.place.file, s.place.line, s.table, s.event))
