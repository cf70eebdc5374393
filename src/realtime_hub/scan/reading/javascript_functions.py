"""Functions of JavaScript and TypeScript: their parameters, and what their types say."""

from __future__ import annotations

from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.patterns import bound_names
from realtime_hub.scan.reading.reader import Reader, span
from realtime_hub.scan.syntax import (
    THIS,
    Function,
    Lambda,
    Member,
    Name,
    Parameter,
    Use,
)

FUNCTION_VALUES: Final = frozenset(
    {"arrow_function", "function_expression", "function", "generator_function"}
)
_FIELD_WORDS: Final = frozenset({"accessibility_modifier", "readonly", "override_modifier"})
_TYPE_FIELDS: Final = frozenset({"property_signature", "method_signature"})


class JavaScriptFunctions(Reader):
    """Functions; values are read by the class that is made from it."""

    def _method(self, node: SgNode) -> Lambda:
        key = node.field("name")
        name = "" if key is None else key.text().strip("'\"")
        value = self._function_value(node, name, -1 if key is None else span(key)[0])
        self.module.functions[value.function].method = True
        return value

    def _function_value(self, node: SgNode, name: str, named_at: int = -1) -> Lambda:
        body = node.field("body")
        own = node.field("name")
        if own is not None and not name:
            name = own.text()
            if node.kind() not in FUNCTION_VALUES:  # those are known by it within them alone
                named_at = span(own)[0]
        function = self._new_function(node, name, body)
        function.declared_at = named_at
        function.is_async = node.text()[:60].lstrip().startswith(("async", "static async"))
        with self._inside(function):
            self._parameters(node, function)
            if body is not None:
                self._body(body, function)
        return self._lambda(node, function)

    def _parameters(self, node: SgNode, function: Function) -> None:
        single = node.field("parameter")
        if single is not None:
            function.parameters.append(Parameter(single.text(), 0, (), None))
        given = node.field("parameters")
        if given is None:
            return
        position = 0
        for each in given.named_children():
            if each.kind() in {"comment", "decorator"}:
                self._statement(each, each.kind())
                continue
            typed = each.kind() in {"required_parameter", "optional_parameter"}
            pattern = each.field("pattern") if typed else each
            default = each.field("value") if typed else None
            if pattern is None or pattern.text() == THIS:
                continue
            annotation = each.field("type") if typed else None
            self._parameter(function, pattern, position, default, self._type_of(annotation))
            if typed and any(each.kind() in _FIELD_WORDS for each in each.children()):
                self._own_field(pattern)
            position += 1

    def _type_of(self, annotation: SgNode | None) -> str:
        """The name of a parameter's type; one that is written out is named after its place."""
        written = next(iter(annotation.named_children()), None) if annotation else None
        if written is None or written.kind() == "type_identifier":
            return "" if written is None else written.text()
        name = str(span(written)[0])
        self._object_type(name, written)
        return name

    def _object_type(self, name: str, written: SgNode) -> None:
        fields = [
            each.field("name") if each.kind() in _TYPE_FIELDS else None
            for each in written.named_children()
            if each.kind() != "comment"
        ]
        if written.kind() in {"object_type", "interface_body"} and None not in fields:
            self.module.types[name] = frozenset(each.text() for each in fields if each is not None)

    def _own_field(self, pattern: SgNode) -> None:
        """TypeScript's `constructor(private name: string)`."""
        start, end, line = span(pattern)
        this = Name(start, start, line, THIS)
        member = Member(start, end, line, this, pattern.text())
        self._assign(member, Name(start, end, line, pattern.text()), pattern)

    def _parameter(
        self,
        function: Function,
        pattern: SgNode,
        position: int,
        default: SgNode | None,
        type_name: str,
    ) -> None:
        for name, path, own, _ in bound_names(pattern):
            chosen = own if own is not None else default
            value = None if chosen is None else self._expression(chosen)
            if own is None and path:  # the default is of the whole parameter
                value = None
            own_type = "" if path else type_name
            function.parameters.append(Parameter(name, position, path, value, type=own_type))

    def _body(self, body: SgNode, function: Function) -> None:
        if body.kind() == "statement_block":
            self._statements(body.children())
            return
        self._leave(body, self._used(self._expression(body), Use.RETURNED, body))
