"""Values of Dart: expressions and functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.reader import Reader, called_at, joined, span
from realtime_hub.scan.reading.strings import unescaped
from realtime_hub.scan.syntax import (
    THIS,
    Array,
    Call,
    Choice,
    Expr,
    Function,
    Index,
    Lambda,
    Literal,
    Member,
    Name,
    Opaque,
    Parameter,
    Record,
    Spread,
    Test,
    Use,
)

_TRANSPARENT: Final = frozenset(
    {
        "parenthesized_expression",
        "null_assertion_expression",
        "type_cast_expression",
        "instantiation_expression",
        "assignable_expression",
    }
)
_POSTFIX: Final = frozenset(
    {"call_expression", "member_expression", "null_aware_member_expression", "index_expression"}
)
_NEW: Final = frozenset({"new_expression", "const_object_expression"})
_CONSTANTS: Final = {"true": True, "false": False, "null_literal": None}
_ANONYMOUS: Final = frozenset({"type", "type_arguments", "type_cast", "annotation", "label"})


class DartValues(Reader):
    _arrow_heads: frozenset[int] = frozenset()

    def _expression(self, node: SgNode, name: str = "") -> Expr:
        kind = node.kind()
        start, end, line = span(node)
        if kind in _POSTFIX:
            head = _arrow_head(node)
            if head is not None and span(head)[0] not in self._arrow_heads:
                return self._arrow(node, head)
        if kind in _TRANSPARENT:
            return self._inner(node, name)
        if kind in _NEW:
            return self._call(node, new=True)
        if kind in _ANONYMOUS:
            return Opaque(start, end, line)
        match kind:
            case "identifier" | "identifier_dollar_escaped":
                self._refer(node.text(), start)
                return Name(start, end, line, node.text())
            case "this":
                return Name(start, end, line, THIS)
            case "call_expression":
                return self._call(node, new=False)
            case "member_expression" | "null_aware_member_expression":
                return self._member(node)
            case "index_expression":
                return self._index(node)
            case "string_literal":
                return self._text(node)
            case "set_or_map_literal":
                return self._map(node)
            case "list_literal":
                return self._list(node)
            case "function_expression":
                return self._closure(node, name)
            case "await_expression":
                inner = node.named_children()
                value = self._expression(inner[-1]) if inner else Opaque(start, end, line)
                return self._await(node, value)
            case "throw_expression":
                self._leave(node, raised=True)
                return self._opaque(node)
            case "unary_expression" | "postfix_expression":
                operand, text = self._inner(node, name), node.text()
                changes = text.startswith(("++", "--")) or text.endswith(("++", "--"))
                return self._changed(operand, node) if changes else operand
            case "equality_expression":
                return self._equality(node)
            case "additive_expression" | "conditional_expression" | "if_null_expression":
                return self._operation(node, kind)
            case "assignment_expression":
                return self._assignment(node)
            case "decimal_integer_literal" | "decimal_floating_point_literal":
                return Literal(start, end, line, node.text())
            case "comment":
                return Opaque(start, end, line)
        if kind in _CONSTANTS:
            return Literal(start, end, line, _CONSTANTS[kind])
        self._statements(node.named_children())
        return Opaque(start, end, line)

    def _inner(self, node: SgNode, name: str = "") -> Expr:
        children = node.named_children()
        if not children:
            return Opaque(*span(node))
        if len(children) > 1 and node.kind() == "assignable_expression":
            indexed = any(each.kind() == "[" for each in node.children())
            return self._index(node) if indexed else self._member(node)
        place = 1 if children[0].kind() == "prefix_operator" and len(children) > 1 else 0
        return self._expression(children[place], name)

    # `(x) => a.b()` is read by the grammar as `((x) => a).b()`

    def _arrow(self, node: SgNode, head: SgNode) -> Expr:
        outer = self._arrow_heads
        self._arrow_heads = outer | {span(head)[0]}
        try:
            return self._closure(head, "", body=node)
        finally:
            self._arrow_heads = outer

    def _closure(self, node: SgNode, name: str, body: SgNode | None = None) -> Expr:
        inner = next(
            (each for each in node.children() if each.kind() == "function_expression_body"), None
        )
        if span(node)[0] in self._arrow_heads and body is None:
            parts = [] if inner is None else inner.named_children()
            return self._expression(parts[-1]) if parts else Opaque(*span(node))
        around = node if body is None else body
        value = self._function_value(around, name, node, inner, arrow=body)
        return value

    # Calls and members

    def _cascade(self, nodes: Sequence[SgNode], name: str = "") -> Expr:
        """A value and the `..calls()` behind it, whose value is the first one's."""
        values = [each for each in nodes if each.kind() != "comment"]
        if not values:
            return Opaque(0, 0, 1)
        value = self._expression(values[0], name)
        for each in values[1:]:
            if each.kind() == "cascade_section":
                self._section(each, value)
            else:
                self._expression(each)
        return value

    def _named_cascade(self, nodes: Sequence[SgNode], name: SgNode) -> Expr:
        return self._cascade(nodes, name.text())

    def _section(self, section: SgNode, value: Expr) -> None:
        for each in section.named_children():
            parts = each.named_children()
            if each.kind() != "cascade_call_expression" or not parts:
                self._expression(each)
                continue
            start, end, line = span(parts[0])
            self._refer(parts[0].text(), start)
            function: Expr = Member(value.start, end, line, value, parts[0].text())
            for given in parts[1:]:
                if given.kind() == "arguments":
                    self._applied(function, given, each)

    def _applied(self, function: Expr, given: SgNode, around: SgNode) -> Call:
        arguments, keywords = self._arguments(given)
        start, end, line = function.start, span(around)[1], function.line
        call = Call(start, end, line, function, arguments, keywords, opening=span(given)[0])
        return self._note_call(call)

    def _call(self, node: SgNode, *, new: bool) -> Expr:
        start, end, line = span(node)
        parts = node.named_children()
        given = next((each for each in parts if each.kind() == "arguments"), None)
        if given is None:
            return self._opaque(node)
        if new:
            called = parts[0]
            function: Expr = Name(*span(called), called.text().split("<")[0])
            self._refer(called.text().split("<")[0], span(called)[0])
        else:
            function = self._expression(parts[0])
        arguments, keywords = self._arguments(given)
        at = called_at(function, line)
        call = Call(start, end, at, function, arguments, keywords, new, span(given)[0])
        return self._note_call(call)

    def _arguments(self, given: SgNode) -> tuple[tuple[Expr, ...], tuple[tuple[str, Expr], ...]]:
        arguments: list[Expr] = []
        keywords: list[tuple[str, Expr]] = []
        for each in given.named_children():
            if each.kind() == "named_argument":
                label, *values = each.named_children()
                name = label.text().rstrip(": ")
                keywords.append((name, self._cascade(values)))
            elif each.kind() == "cascade_section" and arguments:
                self._section(each, arguments[-1])
            elif each.kind() == "comment":
                pass
            else:
                arguments.append(self._expression(each))
        return tuple(arguments), tuple(keywords)

    def _member(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        parts = node.named_children()
        if any(each.kind() == "this" for each in node.children()) and len(parts) < 2:
            owner: Expr = Name(start, start + 4, line, THIS)
        elif len(parts) < 2:
            return self._opaque(node)
        else:
            owner = self._expression(parts[0])
        name = parts[-1]
        self._refer(name.text(), span(name)[0])
        if isinstance(owner, Name) and owner.name == THIS:
            return Name(start, end, span(name)[2], name.text())
        return Member(start, end, span(name)[2], owner, name.text())

    def _index(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        parts = [self._expression(each) for each in node.named_children()]
        if len(parts) != 2:
            return Opaque(start, end, line)
        return Index(start, end, line, parts[0], parts[1])

    # Composite values

    def _text(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        parts: list[Expr] = []
        for literal in node.named_children():
            for each in literal.named_children():
                where = span(each)
                if each.kind() == "template_substitution":
                    inner = each.named_children()
                    parts.append(self._expression(inner[-1]) if inner else Opaque(*where))
                elif each.kind() == "escape_sequence":
                    parts.append(Literal(*where, unescaped(each.text())))
                elif each.kind().startswith("template_chars"):
                    parts.append(Literal(*where, each.text()))
        return joined(start, end, line, parts or [Literal(start, end, line, "")])

    def _map(self, node: SgNode) -> Expr:
        fields: list[tuple[str, Expr]] = []
        items: list[Expr] = []
        spreads: list[Expr] = []
        for each in node.named_children():
            parts = each.named_children()
            if each.kind() == "pair" and len(parts) >= 2:
                key = self._expression(parts[0])
                text = str(key.value) if isinstance(key, Literal) else ""
                fields.append((text, self._expression(parts[-1])))
            elif each.kind() == "spread_element" and parts:
                spreads.append(self._expression(parts[-1]))
            elif each.kind() == "comment":
                pass
            else:
                items.append(self._expression(each))
        if items and not fields:
            return Array(*span(node), tuple(items))
        record = Record(*span(node), tuple(fields), tuple(spreads))
        self.module.records.append((record, self._function))
        return record

    def _list(self, node: SgNode) -> Expr:
        items: list[Expr] = []
        for each in node.named_children():
            if each.kind() == "for_element":
                self._statement(each, "for_statement")
            elif each.kind() in {"comment", "type_arguments"}:
                self._statement(each, each.kind())
            elif each.kind() == "cascade_section" and items:
                self._section(each, items[-1])
            elif each.kind() == "spread_element" and each.named_children():
                items.append(Spread(*span(each), self._expression(each.named_children()[-1])))
            else:
                items.append(self._expression(each))
        return Array(*span(node), tuple(items))

    def _operation(self, node: SgNode, kind: str) -> Expr:
        start, end, line = span(node)
        parts = [each for each in node.named_children() if each.kind() != "comment"]
        if kind == "conditional_expression" and len(parts) == 3:
            test = self._condition(parts[0])
            self._fork([(parts[0], parts[1]), (None, parts[2])], total=True)
            options = tuple(self._expression(each) for each in parts[1:])
            return Choice(start, end, line, options, test=test)
        values = tuple(self._expression(each) for each in parts)
        if kind == "if_null_expression":
            return Choice(start, end, line, values, fallback=True)
        return joined(start, end, line, values)

    def _junction(self, node: SgNode) -> tuple[str, list[SgNode]]:
        kind, parts = (
            node.kind(),
            [each for each in node.named_children() if "comment" not in each.kind()],
        )
        if kind == "unary_expression" and node.text().startswith("!"):
            return "not", parts[1:]
        operands = [each for each in parts if not each.kind().endswith("_operator")]
        mixed = any(each.kind() == "logical_or_expression" for each in operands)
        if kind == "logical_and_expression" and not mixed:  # the grammar binds `||` as tightly
            return "and", operands
        return ("or", operands) if kind == "logical_or_expression" else ("", [])

    def _equality(self, node: SgNode) -> Expr:
        parts = [each for each in node.named_children() if each.kind() != "equality_operator"]
        values = tuple(self._expression(each) for each in parts)
        return Test(*span(node), "!=" if "!=" in node.text() else "==", values)

    def _assignment(self, node: SgNode) -> Expr:
        parts = [each for each in node.named_children() if each.kind() != "comment"]
        if len(parts) < 2:
            return self._opaque(node)
        target = self._expression(parts[0])
        if not any(each.kind() in {"=", "??="} for each in node.children()):
            self._cascade(parts[1:])
            return self._changed(target, node)
        name = target.name if isinstance(target, Name) else ""
        value = self._used(self._cascade(parts[1:], name), Use.ASSIGNED, node)
        self._assign(target, value, node)
        return value

    # Functions

    def _function_value(
        self,
        node: SgNode,
        name: str,
        signature: SgNode,
        body: SgNode | None,
        arrow: SgNode | None = None,
    ) -> Lambda:
        function = self._new_function(node, name, body)
        words = [] if body is None else [each.kind() for each in body.children()]
        function.is_async = "async" in words or "async*" in words
        with self._inside(function):
            for each in signature.children():
                if each.kind() == "formal_parameter_list":
                    self._parameters(each, function)
            if arrow is not None:
                function.body = span(arrow)[:2]
                self._leave(arrow, self._expression(arrow))
            elif body is not None:
                self._body(body, function, words)
        return self._lambda(node, function)

    def _body(self, body: SgNode, function: Function, words: list[str]) -> None:
        if "=>" not in words:
            self._statements(body.children())
            return
        parts = [each for each in body.named_children() if each.kind() != "comment"]
        if parts:
            self._leave(parts[-1], self._cascade(parts))

    def _parameters(self, given: SgNode, function: Function) -> None:
        """Named and positional ones; a default stands behind its parameter."""
        stack = list(reversed(given.children()))
        named = False
        while stack:
            each = stack.pop()
            if each.kind() == "optional_formal_parameters":
                children = each.children()
                named = bool(children) and children[0].kind() == "{"
                stack += reversed(children)
            elif each.kind() == "formal_parameter":
                identifiers = [child for child in _deep(each) if child.kind() == "identifier"]
                if identifiers:
                    text = identifiers[-1].text()
                    keyword = text if named else ""
                    position = -1 if named else len(function.parameters)
                    function.parameters.append(Parameter(text, position, (), None, keyword))
                    if each.find(kind="constructor_param") is not None:
                        self._own_field(identifiers[-1])
            elif each.is_named() and function.parameters and each.kind() != "comment":
                last = function.parameters.pop()
                default = self._expression(each)
                function.parameters.append(
                    Parameter(last.name, last.position, (), default, last.keyword)
                )

    def _own_field(self, parameter: SgNode) -> None:
        """`this.name` among a constructor's parameters."""
        name = Name(*span(parameter), parameter.text())
        self._assign(name, name, parameter, declared=True, scope=self._scopes[-2])


def _deep(node: SgNode) -> list[SgNode]:
    found = []
    for each in node.children():
        found += [each, *_deep(each)]
    return found


def _arrow_head(node: SgNode) -> SgNode | None:
    """The `(x) => ...` that a chain seems to begin with."""
    while node.kind() in _POSTFIX:
        children = node.children()
        if not children:
            return None
        node = children[0]
    if node.kind() != "function_expression":
        return None
    bodies = [each for each in node.children() if each.kind() == "function_expression_body"]
    arrow = bodies and any(each.kind() == "=>" for each in bodies[0].children())
    return node if arrow else None
