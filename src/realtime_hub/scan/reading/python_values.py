"""Values of Python: expressions and functions."""

from __future__ import annotations

import ast
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.reader import Reader, called_at, joined, span
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
)

_COMPARING: Final = {"==": "==", "!=": "!=", "is": "==", "is not": "!="}
_CONSTANTS: Final = {"true": True, "false": False, "none": None}
_LISTS: Final = frozenset({"list", "tuple", "set", "expression_list"})
_COMPREHENSIONS: Final = frozenset(
    {"list_comprehension", "set_comprehension", "generator_expression", "dictionary_comprehension"}
)


class PythonValues(Reader):
    def _expression(self, node: SgNode, name: str = "") -> Expr:
        kind = node.kind()
        start, end, line = span(node)
        if kind in _COMPREHENSIONS:
            return self._comprehension(node)
        if kind in _LISTS:
            items = [each for each in node.named_children() if each.kind() != "comment"]
            return Array(start, end, line, tuple(self._expression(each) for each in items))
        match kind:
            case "identifier":
                return self._name(node)
            case "call":
                return self._call(node)
            case "attribute":
                return self._attribute(node)
            case "subscript":
                return self._subscript(node)
            case "string" | "concatenated_string":
                return self._text(node)
            case "dictionary":
                return self._dictionary(node)
            case "parenthesized_expression":
                inner = [each for each in node.named_children() if each.kind() != "comment"]
                return self._expression(inner[0], name) if inner else Opaque(start, end, line)
            case "await":
                inner = node.named_children()
                value = self._expression(inner[0]) if inner else Opaque(start, end, line)
                return self._await(node, value)
            case "binary_operator" | "boolean_operator" | "conditional_expression":
                return self._operation(node)
            case "comparison_operator":
                return self._comparison(node)
            case "lambda":
                return self._function_value(node, name)
            case "named_expression":
                return self._walrus(node)
            case "integer" | "float":
                return Literal(start, end, line, node.text())
            case "list_splat":
                inner = node.named_children()
                value = self._expression(inner[0]) if inner else Opaque(start, end, line)
                return Spread(start, end, line, value)
            case "comment":
                return Opaque(start, end, line)
        if kind in _CONSTANTS:
            return Literal(start, end, line, _CONSTANTS[kind])
        for child in node.named_children():
            self._statement(child, child.kind())
        return Opaque(start, end, line)

    def _name(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        name = node.text()
        if name in {"self", "cls"} and self._receivers:
            return Name(start, end, line, THIS)
        self._refer(name, start)
        return Name(start, end, line, name)

    def _call(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        called, given = node.field("function"), node.field("arguments")
        if called is None or given is None:
            return self._opaque(node)
        function = self._expression(called)
        arguments: list[Expr] = []
        keywords: list[tuple[str, Expr]] = []
        if given.kind() == "generator_expression":
            arguments.append(self._expression(given))
        else:
            for each in given.named_children():
                self._argument(each, arguments, keywords)
        opening = span(given)[0]
        line = called_at(function, line)
        call = Call(start, end, line, function, tuple(arguments), tuple(keywords), opening=opening)
        return self._note_call(call)

    def _argument(
        self, each: SgNode, arguments: list[Expr], keywords: list[tuple[str, Expr]]
    ) -> None:
        match each.kind():
            case "keyword_argument":
                name, value = each.field("name"), each.field("value")
                if name is not None and value is not None:
                    keywords.append((name.text(), self._expression(value)))
            case "dictionary_splat":
                keywords += [("**", self._expression(one)) for one in each.named_children()]
            case "comment":
                pass
            case _:
                arguments.append(self._expression(each))

    def _attribute(self, node: SgNode) -> Expr:
        start, end, _line = span(node)
        owner, name = node.field("object"), node.field("attribute")
        if owner is None or name is None:
            return self._opaque(node)
        value = self._expression(owner)
        self._refer(name.text(), span(name)[0])
        return Member(start, end, span(name)[2], value, name.text())

    def _subscript(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        owner, key = node.field("value"), node.field("subscript")
        if owner is None or key is None:
            return self._opaque(node)
        value, read = self._expression(owner), self._expression(key)
        if isinstance(read, Literal) and isinstance(read.value, str):
            try:
                return Index(start, end, line, value, read)
            finally:
                self._refer(str(read.value), read.start)
        return Index(start, end, line, value, read)

    def _text(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        if node.kind() == "concatenated_string":
            inner = [each for each in node.named_children() if each.kind() == "string"]
            return joined(start, end, line, [self._text(each) for each in inner])
        parts: list[Expr] = []
        prefix = node.text()[:3].lower()
        for each in node.named_children():
            where = span(each)
            if each.kind() == "interpolation":
                value = each.field("expression")
                parts.append(Opaque(*where) if value is None else self._expression(value))
            elif each.kind() == "string_content":
                raw = "r" in prefix.split("'")[0].split('"')[0]
                parts.append(Literal(*where, each.text() if raw else _plain(each.text())))
        return joined(start, end, line, parts or [Literal(start, end, line, "")])

    def _dictionary(self, node: SgNode) -> Expr:
        fields: list[tuple[str, Expr]] = []
        spreads: list[Expr] = []
        for each in node.named_children():
            if each.kind() == "pair":
                key, value = each.field("key"), each.field("value")
                if key is not None and value is not None:
                    read = self._expression(key)
                    text = str(read.value) if isinstance(read, Literal) else ""
                    fields.append((text, self._expression(value)))
            elif each.kind() == "dictionary_splat":
                spreads += [self._expression(one) for one in each.named_children()]
            elif each.kind() == "comment":
                pass
        record = Record(*span(node), tuple(fields), tuple(spreads))
        self.module.records.append((record, self._function))
        return record

    def _operation(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        parts = [each for each in node.named_children() if each.kind() != "comment"]
        if node.kind() == "conditional_expression" and len(parts) == 3:
            first, test, other = parts
            options = (self._expression(first), self._expression(other))
            self._fork([(test, first), (None, other)], total=True)
            return Choice(start, end, line, options, test=self._condition(test))
        values = [self._expression(each) for each in parts]
        operator = node.field("operator")
        match "" if operator is None else operator.text():
            case "+":
                return joined(start, end, line, values)
            case "or":
                return Choice(start, end, line, tuple(values), fallback=True)
            case "and":
                self._fork([(parts[0], parts[-1])], total=False)
                return values[-1]
        return Opaque(start, end, line)

    def _junction(self, node: SgNode) -> tuple[str, list[SgNode]]:
        parts = [each for each in node.named_children() if each.kind() != "comment"]
        if node.kind() == "not_operator":
            return "not", parts
        operator = node.field("operator")
        if node.kind() != "boolean_operator" or operator is None:
            return "", []
        return operator.text(), parts

    def _comparison(self, node: SgNode) -> Expr:
        operators = [each.kind() for each in node.children() if not each.is_named()]
        values = tuple(self._expression(each) for each in node.named_children())
        operator = _COMPARING.get(operators[0]) if len(operators) == 1 else None
        return Test(*span(node), operator, values) if operator else Opaque(*span(node))

    def _walrus(self, node: SgNode) -> Expr:
        name, value = node.field("name"), node.field("value")
        if name is None or value is None:
            return self._opaque(node)
        read = self._expression(value)
        target = Name(*span(name), name.text())
        self._assign(target, read, node, declared=True, scope=self._function_scope())
        return read

    def _comprehension(self, node: SgNode) -> Expr:
        """Its loops first: the body comes before them in the text."""
        body = node.field("body")
        for each in node.named_children():
            if each.kind() == "for_in_clause":
                left, right = each.field("left"), each.field("right")
                if left is not None and right is not None:
                    names = [left] if left.kind() == "identifier" else list(left.named_children())
                    targets = tuple(
                        (name.text(), () if len(names) == 1 else (position,))
                        for position, name in enumerate(names)
                    )
                    self._loop(targets, self._expression(right), node, keys=False)
            elif each.kind() == "if_clause":
                self._opaque(each)
        if body is not None:
            self._expression(body)
        return Opaque(*span(node))

    # Functions

    def _function_value(self, node: SgNode, name: str, named_at: int = -1) -> Lambda:
        body, given = node.field("body"), node.field("parameters")
        function = self._new_function(node, name, body)
        function.declared_at = named_at
        function.is_async = node.text().startswith("async")
        function.method = self.module.functions[function.parent].is_class
        with self._inside(function):
            if given is not None:
                self._parameters(given, function)
            if body is not None and node.kind() == "lambda":
                self._leave(body, self._expression(body))
            elif body is not None:
                self._statements(body.children())
        return self._lambda(node, function)

    def _parameters(self, given: SgNode, function: Function) -> None:
        position = 0
        for each in given.named_children():
            name = each if each.kind() == "identifier" else each.field("name")
            if each.kind() == "typed_parameter":
                name = next(iter(each.named_children()), None)
            if name is None or name.kind() != "identifier":
                continue
            if function.method and position == 0 and name.text() in {"self", "cls"}:
                continue
            value = each.field("value")
            default = None if value is None else self._expression(value)
            text = name.text()
            function.parameters.append(Parameter(text, position, (), default, text))
            position += 1


def _plain(text: str) -> str:
    """With its escapes resolved as Python does."""
    if "\\" not in text:
        return text
    quoted = text.replace('"', '\\"').replace("\n", "\\n")
    try:
        return str(ast.literal_eval(f'"{quoted}"'))
    except (ValueError, SyntaxError):
        return text
