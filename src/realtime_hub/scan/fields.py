"""Fields of objects: of those written out, of classes and their instances, of modules, of calls
with named arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.scopes import Given
from realtime_hub.scan.syntax import (
    SUPER,
    THIS,
    Array,
    Call,
    Expr,
    Function,
    Import,
    Index,
    Lambda,
    Literal,
    Member,
    Name,
    Opaque,
    Record,
)
from realtime_hub.scan.vocabulary import OPTIONS

if TYPE_CHECKING:
    from realtime_hub.scan.values import Values

_BOXES: Final = frozenset({"useRef", "ref", "shallowRef", "useState", "signal"})


class Fields:
    """Follows members of values."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._open: set[tuple[str, int, int, str]] = set()

    def of(self, value: Value, member: Member) -> Sequence[Value]:
        """What `owner.name` may be."""
        found = self._field_of(value, member, self._owners(value, member.object))
        return [value] if found == [] else found or []

    def _owners(self, value: Value, owner: Expr) -> Sequence[Value]:
        if isinstance(owner, Name) and owner.name == THIS:
            return [value.of(owner)]
        return self._values.reduce(value.of(owner))

    def _of_owner(self, value: Value, name: str) -> list[Value] | None:
        """None: an object made with named arguments lacks it."""
        match value.expr:
            case Record():
                return self.record_field(value, value.expr, name)
            case Literal() if name == "value":  # of a Python enumeration's member
                return [value]
            case Lambda(function=number):
                return self._static(value, value.module.functions[number], name)
            case Call() if value.expr.method in OPTIONS:
                given = value.expr.argument(-1, name)
                return None if given is None else self._values.reduce(value.of(given))
            case Call(new=new) if new or value.module.language in {"python", "dart"}:
                return self._of_instance(value, value.expr, name)
            case Call() if value.expr.method in _BOXES and name in {"current", "value"}:
                first = value.expr.arguments[:1]
                return [each for one in first for each in self._values.reduce(value.of(one))]
            case Name(name=owner) if owner == THIS:
                return self._of_this(value, name)
            case Name():
                return self._of_module(value, value.expr, name)
        return []

    def field(self, owner: Value, name: str) -> list[Value] | None:
        """What a field of an object may be; None if it has no such field, empty if that can't be
        told."""
        start, end, line = owner.expr.start, owner.expr.end, owner.expr.line
        return self._field_of(
            owner, Member(start, end, line, owner.expr, name), self._values.reduce(owner)
        )

    def _field_of(
        self, value: Value, member: Member, owners: Sequence[Value]
    ) -> list[Value] | None:
        found: list[Value] = []
        for write in self._values.scopes(value.module).fields(member):
            if write.value is not None:
                found += self._values.part(value.of(write.value), write.path)
        known = True  # what is absent has no fields
        for each in owners:
            own = self._of_owner(each, member.name)
            if isinstance(each.expr, Record):
                known = known and self.closed(each, each.expr, member.name)
            elif not (isinstance(each.expr, Call) and each.expr.keywords and own is None):
                known = False
            found += own or ()
        return found or (None if known else [])

    def closed(self, value: Value, record: Record, name: str) -> bool:
        """What an object takes over from others does not have a field."""
        with self._opening(value, record, f"no {name}") as first:
            return not first or all(
                self._lacks(each, name)
                for spread in record.spreads
                for each in self._values.reduce(value.of(spread))
            )

    @contextmanager
    def _opening(self, value: Value, record: Record, what: str) -> Iterator[bool]:
        """Whether an object is not being looked into already: `all = { ...all, table }`."""
        key = (value.module.path, record.start, record.end, what)
        first = key not in self._open
        self._open.add(key)
        try:
            yield first
        finally:
            if first:
                self._open.discard(key)

    def _lacks(self, value: Value, name: str) -> bool:
        match value.expr:
            case Record() as record:
                return record.get(name) is None and self.closed(value, record, name)
            case Name() as parameter:
                meaning = self._values.meaning(value.module, parameter)
                typed = meaning.parameter.type if isinstance(meaning, Given) else ""
                fields = value.module.types.get(typed)
                return fields is not None and name not in fields
        return False

    def record_field(self, value: Value, record: Record, name: str) -> list[Value]:
        """A field of an object that is written out, or of one that it takes over; what is taken
        over behind a field may replace it."""
        with self._opening(value, record, name) as first:
            return self._record_field(value, record, name) if first else []

    def _record_field(self, value: Value, record: Record, name: str) -> list[Value]:
        own = record.get(name)
        first = -1 if own is None else own.start
        found = [] if own is None else self._values.reduce(value.of(own))
        for spread in record.spreads:
            if spread.start < first:
                continue
            options = self._values.reduce(value.of(spread))
            taken = [self._taken_over(each, name) for each in options]
            if taken and all(taken):
                found = []
            found = found + [each for one in taken for each in one]
            if own is not None and not all(
                one or self._lacks(each, name) for one, each in zip(taken, options, strict=True)
            ):
                found.append(value.of(unknown(value)))
        if own is not None and any(not key and each.start > first for key, each in record.fields):
            found.append(value.of(unknown(value)))  # `[key]: value`
        return found

    def _taken_over(self, value: Value, name: str) -> list[Value]:
        record = value.expr
        return self.record_field(value, record, name) if isinstance(record, Record) else []

    def _static(self, value: Value, function: Function, name: str) -> list[Value]:
        if not function.is_class:
            return []
        return self._class_field(value, function.receiver, name)

    def _class_field(
        self,
        value: Value,
        receiver: int,
        name: str,
        seen: frozenset[tuple[str, int]] = frozenset(),
    ) -> list[Value]:
        """A method or field of a class, else of those that it extends."""
        module = value.module
        for function in module.functions:
            if function.method and function.receiver == receiver and function.name == name:
                lambda_ = Lambda(function.start, function.end, function.line, function.number)
                return [Value(lambda_, module, value.env)]
        this = (THIS, receiver, name)
        scopes = self._values.scopes(module)
        found: list[Value] = []
        for write in module.assignments:
            target = write.target
            named = isinstance(target, Member) and target.name == name
            if named and write.value is not None and scopes.place(target) == this:
                found += self._values.part(Value(write.value, module, value.env), write.path)
        if found or (module.path, receiver) in seen:
            return found
        seen |= {(module.path, receiver)}
        return [
            each
            for base, function in self._bases(value, receiver)
            for each in self._class_field(base, function.receiver, name, seen)
        ]

    def _bases(self, value: Value, receiver: int) -> list[tuple[Value, Function]]:
        """The classes of the tree that a class extends."""
        module = value.module
        own = [f for f in module.functions if f.is_class and f.receiver == receiver]
        found = []
        for each in own:
            name = Name(each.body[0], each.body[0], each.line, SUPER)
            for base in self._values.reduce(Value(name, module, value.env)):
                if isinstance(base.expr, Lambda):
                    function = base.module.functions[base.expr.function]
                    found += [(base, function)] if function.is_class else []
        return found

    def _of_instance(self, value: Value, call: Call, name: str) -> list[Value]:
        found: list[Value] = []
        for each in self._values.reduce(value.of(call.function)):
            if isinstance(each.expr, Lambda):
                function = each.module.functions[each.expr.function]
                if function.is_class:
                    found += self._class_field(each, function.receiver, name)
        return found

    def _of_this(self, value: Value, name: str) -> list[Value]:
        receiver = self._values.scopes(value.module).receiver(value.expr.start)
        if receiver < 0:
            return []
        return [
            each
            for each in self._class_field(value, receiver, name)
            if isinstance(each.expr, Lambda)
        ]

    def _of_module(self, value: Value, owner: Name, name: str) -> list[Value]:
        meaning = self._values.meaning(value.module, owner)
        if not isinstance(meaning, Import) or meaning.name != "*":
            return []
        found = list(self._values.imported(value, meaning, name))
        return [each for each in found if each.expr is not value.expr]

    def indexed(self, value: Value, index: Index) -> Sequence[Value]:
        """What `owner[key]` may be."""
        name = self._values.text(value.of(index.key))
        found: list[Value] = []
        for each in self._values.reduce(value.of(index.object)):
            if name is not None and isinstance(each.expr, Record):
                found += self.record_field(each, each.expr, name)
            elif name is not None and isinstance(each.expr, Array) and name.isdigit():
                items = each.expr.items
                if int(name) < len(items):
                    found += self._values.reduce(each.of(items[int(name)]))
        return found or [value]


def unknown(value: Value) -> Opaque:
    return Opaque(value.expr.start, value.expr.end, value.expr.line)
