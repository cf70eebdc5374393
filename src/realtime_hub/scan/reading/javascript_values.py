"""Values of JavaScript and TypeScript."""

from __future__ import annotations

from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.javascript_functions import FUNCTION_VALUES, JavaScriptFunctions
from realtime_hub.scan.reading.patterns import bound_names
from realtime_hub.scan.reading.reader import called_at, joined, span
from realtime_hub.scan.reading.strings import unescaped
from realtime_hub.scan.syntax import (
    PROVIDED,
    Array,
    Call,
    Choice,
    Expr,
    Index,
    Literal,
    Member,
    Name,
    Opaque,
    Record,
    Spread,
    Test,
    Use,
)

_TRANSPARENT: Final = frozenset(
    {
        "parenthesized_expression",
        "as_expression",
        "satisfies_expression",
        "non_null_expression",
        "type_assertion",
        "instantiation_expression",
    }
)
_SPREAD: Final = "spread_element"
_FALLBACKS: Final = frozenset({"??=", "||=", "&&="})
_JOINING: Final = {"&&": "and", "||": "or", "!": "not"}
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "undefined": None}
_IGNORED: Final = frozenset(
    {"type_annotation", "type_arguments", "type_parameters", "predefined_type", "escape_sequence"}
)


class JavaScriptValues(JavaScriptFunctions):
    def _expression(self, node: SgNode, name: str = "", named_at: int = -1) -> Expr:
        kind = node.kind()
        if kind in FUNCTION_VALUES:
            return self._function_value(node, name, named_at)
        if kind in _TRANSPARENT:
            return self._inner(node, name, named_at)
        if kind in _IGNORED or not node.is_named():
            return self._leaf(node, kind)
        match kind:
            case "call_expression" | "new_expression":
                return self._call(node, new=kind == "new_expression")
            case "member_expression" | "subscript_expression":
                return self._member(node)
            case "object":
                return self._object(node)
            case "array":
                return self._array(node)
            case "string" | "template_string":
                return self._text(node)
            case "binary_expression" | "ternary_expression":
                return self._operation(node)
            case "assignment_expression" | "augmented_assignment_expression":
                return self._assignment(node)
            case "update_expression":
                return self._changed(self._inner(node, "", -1), node)
            case "sequence_expression":
                values = [self._expression(child) for child in node.named_children()]
                return values[-1] if values else Opaque(*span(node))
            case "await_expression":
                return self._awaited(node)
            case "unary_expression" if node.text().startswith("void"):
                inner = self._inner(node, "", -1)
                self._used(inner, Use.DISCARDED, node)
                return Opaque(*span(node))
            case "unary_expression" if node.text().startswith("typeof"):
                function = Name(*span(node), "typeof")
                return Call(*span(node), function, (self._inner(node, "", -1),))
            case "class":
                return self._class_value(node)
            case "jsx_opening_element" | "jsx_self_closing_element":
                return self._element(node)
            case "comment":
                return Opaque(*span(node))
        return self._leaf(node, kind)

    def _leaf(self, node: SgNode, kind: str) -> Expr:
        start, end, line = span(node)
        if kind in {"identifier", "shorthand_property_identifier"}:
            name = node.text()
            self._refer(name, start)
            return Name(start, end, line, name)
        if kind in {"this", "super"}:
            return Name(start, end, line, kind)
        if kind in _CONSTANTS:
            return Literal(start, end, line, _CONSTANTS[kind])
        if kind == "number":
            return Literal(start, end, line, node.text())
        if kind in {"property_identifier", "type_identifier"}:
            self._refer(node.text(), start)
        if kind in _IGNORED:
            return Opaque(start, end, line)
        if kind.startswith("jsx_"):
            self.module.functions[self._function].renders = True
        for child in node.children():
            self._part(child)
        return Opaque(start, end, line)

    def _part(self, node: SgNode) -> None:
        """Something inside of an expression that is not one of its values."""
        if node.kind() in {"statement_block", "expression_statement"}:
            self._statement(node, node.kind())
        elif node.is_named():
            self._expression(node)

    def _inner(self, node: SgNode, name: str, named_at: int) -> Expr:
        """The value inside of a cast or parentheses."""
        value: Expr = Opaque(*span(node))
        found = False
        for child in node.named_children():
            if child.kind() == "comment":
                pass
            elif not found and (node.kind() != "type_assertion" or "type" not in child.kind()):
                value, found = self._expression(child, name, named_at), True
        return value

    def _element(self, node: SgNode) -> Expr:
        """JSX: a component is called with its properties.

        `<Context.Provider value={...}>` and `<Context value={...}>` keep what they give.
        """
        self.module.functions[self._function].renders = True
        start, end, line = span(node)
        name = node.field("name")
        if name is None:
            return self._opaque(node)
        function = self._expression(name)
        fields: list[tuple[str, Expr]] = []
        spreads: list[Expr] = []
        for child in node.named_children():
            if child.kind() == "jsx_attribute":
                fields += self._attribute(child)
            elif child != name:
                inner = child.named_children()
                if child.kind() == "jsx_expression" and inner[0:1] and inner[0].kind() == _SPREAD:
                    spreads.append(self._inner(inner[0], "", -1))
                else:
                    self._part(child)
        given = Record(start, end, line, tuple(fields), tuple(spreads))
        context, value = _context(function), given.get("value")
        if context is not None and value is not None:
            self._assign(Member(start, end, line, context, PROVIDED), value, node)
        if not name.text()[0].islower():
            self._note_call(Call(start, end, line, function, (given,), opening=span(name)[1]))
        return Opaque(start, end, line)

    def _attribute(self, node: SgNode) -> list[tuple[str, Expr]]:
        """`name="text"`, `name={value}`; one without a value is true."""
        parts = node.named_children()
        key = parts[0].text()
        if len(parts) < 2:
            return [(key, Literal(*span(node), True))]
        value = parts[1]
        braced = value.kind() == "jsx_expression"
        return [(key, self._inner(value, "", -1) if braced else self._expression(value))]

    def _awaited(self, node: SgNode) -> Expr:
        return self._await(node, self._inner(node, "", -1))

    def _class_value(self, node: SgNode) -> Expr:
        self._statement(node, "class_declaration")
        return Opaque(*span(node))

    # Calls and members

    def _call(self, node: SgNode, *, new: bool) -> Expr:
        start, end, line = span(node)
        called = node.field("constructor" if new else "function")
        given = node.field("arguments")
        if called is None:
            return self._opaque(node)
        if called.kind() == "import":
            function: Expr = Name(*span(called), "import")
        else:
            function = self._expression(called)
        arguments: list[Expr] = []
        opening = end
        if given is not None and given.kind() == "arguments":
            opening = span(given)[0]
            arguments = self._arguments(given)
        elif given is not None:
            self._expression(given)
        call = Call(
            start, end, called_at(function, line), function, tuple(arguments), (), new, opening
        )
        return self._note_call(call)

    def _arguments(self, given: SgNode) -> list[Expr]:
        found: list[Expr] = []
        for each in given.named_children():
            if each.kind() == "spread_element":
                found.append(Spread(*span(each), self._inner(each, "", -1)))
            elif each.kind() != "comment":
                found.append(self._expression(each))
        return found

    def _member(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        owner = node.field("object")
        if owner is None:
            return self._opaque(node)
        value = self._expression(owner)
        prop = node.field("property")
        if prop is not None:
            text = prop.text()
            self._refer(text, span(prop)[0])
            return Member(start, end, span(prop)[2], value, text)
        index = node.field("index")
        if index is None:
            return Opaque(start, end, line)
        key = self._expression(index)
        if isinstance(key, Literal) and isinstance(key.value, str):
            self._refer(key.value, key.start)
            return Member(start, end, line, value, key.value)
        return Index(start, end, line, value, key)

    # Composite values

    def _object(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        fields: list[tuple[str, Expr]] = []
        spreads: list[Expr] = []
        receiver = self._receivers[-1] if self._receivers else None
        # Nested objects of a component's options share its `this`.
        own = receiver if receiver and receiver[1] == "{}" else (start, "{}")
        for each in node.named_children():
            value = each.field("value")
            lexical = value is not None and value.kind() == "arrow_function"
            with self._receiver(*(receiver if receiver and lexical else own)):
                self._field(each, fields, spreads)
        record = Record(start, end, line, tuple(fields), tuple(spreads))
        self.module.records.append((record, self._function))
        return record

    def _field(self, each: SgNode, fields: list[tuple[str, Expr]], spreads: list[Expr]) -> None:
        match each.kind():
            case "pair":
                key, value = each.field("key"), each.field("value")
                if key is None or value is None:
                    return
                name = key.text().strip("'\"")
                if key.kind() == "computed_property_name":
                    self._opaque(key)
                    name = ""
                fields.append((name, self._expression(value, name, span(key)[0])))
            case "shorthand_property_identifier":
                name = each.text()
                start, end, line = span(each)
                self._refer(name, start)
                fields.append((name, Name(start, end, line, name)))
            case "method_definition":
                method = self._method(each)
                fields.append((self.module.functions[method.function].name, method))
            case "spread_element":
                spreads += [self._expression(child) for child in each.named_children()]
            case "comment":
                pass

    def _array(self, node: SgNode) -> Expr:
        return Array(*span(node), tuple(self._arguments(node)))

    def _text(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        parts: list[Expr] = []
        for each in node.named_children():
            where = span(each)
            if each.kind() == "template_substitution":
                inner = [self._expression(child) for child in each.named_children()]
                parts.append(inner[0] if inner else Opaque(*where))
            elif each.kind() == "escape_sequence":
                parts.append(Literal(*where, unescaped(each.text())))
            else:
                parts.append(Literal(*where, each.text()))
        return joined(start, end, line, parts or [Literal(start, end, line, "")])

    def _operation(self, node: SgNode) -> Expr:
        start, end, line = span(node)
        if node.kind() == "ternary_expression":
            test = node.field("condition")
            tested = None if test is None else self._condition(test)
            arms = [node.field("consequence"), node.field("alternative")]
            parts = [part for part in arms if part is not None]
            self._fork(zip((test, None), parts, strict=False), total=True)
            options = tuple(self._expression(part) for part in parts)
            return Choice(start, end, line, options, test=tested)
        left, right, operator = node.field("left"), node.field("right"), node.field("operator")
        if left is None or right is None or operator is None:
            return self._opaque(node)
        first = self._expression(left)
        if operator.text() == "&&":
            self._fork([(left, right, first)], total=False)
            value = self._expression(right)
            if isinstance(value, Record):  # `...(only && { filter })`
                nothing = Literal(start, start, line, None)
                return Choice(start, end, line, (value, nothing), test=first)
            return value
        values = (first, self._expression(right))
        match operator.text():
            case "+":
                return joined(start, end, line, values)
            case "||" | "??":
                return Choice(start, end, line, values, fallback=True)
            case "===" | "==":
                return Test(start, end, line, "==", values)
            case "!==" | "!=":
                return Test(start, end, line, "!=", values)
        return Opaque(start, end, line)

    def _junction(self, node: SgNode) -> tuple[str, list[SgNode]]:
        operator = node.field("operator")
        if node.kind() not in {"binary_expression", "unary_expression"} or operator is None:
            return "", []
        parts = [node.field(name) for name in ("left", "right", "argument")]
        return _JOINING.get(operator.text(), ""), [part for part in parts if part is not None]

    def _assignment(self, node: SgNode) -> Expr:
        left, right = node.field("left"), node.field("right")
        if left is None or right is None:
            return self._opaque(node)
        operator = node.field("operator")
        if operator is not None and operator.text() not in _FALLBACKS:
            target = self._expression(left)
            self._expression(right)
            return self._changed(target, node)
        if left.kind() in {"object_pattern", "array_pattern"}:
            value = self._expression(right)
            for name, path, _, where in bound_names(left):
                self._assign(Name(*span(where), name), value, node, path=path, alone=False)
            return value
        target = self._expression(left)
        name = target.name if isinstance(target, Member | Name) else ""
        value = self._expression(right, name, span(left)[0])
        self._used(value, Use.ASSIGNED, node)
        self._assign(target, value, node)
        return value


def _context(name: Expr) -> Expr | None:
    """The context whose provider an element is."""
    match name:
        case Member(object=context, name="Provider"):
            return context
        case Name(name=text) if text.endswith("Context"):
            return name
    return None
