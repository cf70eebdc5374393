"""Dart; kinds as in tree-sitter-dart 0.1."""

from __future__ import annotations

from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.dart_values import DartValues
from realtime_hub.scan.reading.reader import Arm, span
from realtime_hub.scan.syntax import THIS, Export, Expr, Import, Member, Name, Use

_CLASSES: Final = frozenset(
    {"class_declaration", "extension_declaration", "mixin_declaration", "enum_declaration"}
)
_FUNCTIONS: Final = frozenset(
    {
        "function_declaration",
        "getter_declaration",
        "setter_declaration",
        "local_function_declaration",
    }
)
_VARIABLES: Final = frozenset(
    {"initialized_variable_definition", "static_final_declaration", "initialized_identifier"}
)
_SIGNATURES: Final = frozenset(
    {
        "function_signature",
        "getter_signature",
        "setter_signature",
        "constructor_signature",
        "factory_constructor_signature",
        "constant_constructor_signature",
        "operator_signature",
    }
)
_SKIPPED: Final = frozenset({"type", "annotation", "superclass", "interfaces", "type_parameters"})


class DartReader(DartValues):
    """Statements; values are read by the class above."""

    def _statement(self, node: SgNode, kind: str) -> None:
        match kind:
            case "comment" | "documentation_comment":
                pass
            case "import_or_export":
                self._import(node)
            case "expression_statement":
                children = node.named_children()
                value = self._cascade(children)
                if children and children[0].kind() != "assignment_expression":
                    self._used(value, Use.DISCARDED, node)
            case "return_statement":
                parts = node.named_children()
                read = self._used(self._cascade(parts), Use.RETURNED, node) if parts else None
                self._leave(node, read)
            case "block" | "switch_block":
                if kind == "switch_block":
                    self._switch(node)
                with self._scope(*span(node)[:2]):
                    self._statements(node.children())
            case "try_statement":
                self._try(node)
                self._statements(node.children())
            case "while_statement":
                self._while(node)
            case "rethrow_statement":
                self._leave(node, raised=True)
            case "if_statement":
                self._if(node)
            case "for_statement":
                self._for(node)
            case _ if kind in _VARIABLES:
                self._variable(node)
            case _ if kind in _CLASSES:
                self._class(node)
            case _ if kind in _FUNCTIONS or kind == "method_declaration":
                self._declared_function(node)
            case "declaration" if _signature(node) is not None:
                self._declared_function(node)
            case _ if kind in _SKIPPED or not node.is_named():
                pass
            case _ if kind.endswith(
                ("_declaration", "_list", "_statement", "_case", "_default", "_clause", "_member")
            ) or kind in {"declaration", "ERROR"}:
                self._statements(node.children())
            case _:
                self._expression(node)

    # Declarations

    def _variable(self, node: SgNode) -> None:
        """`type name = value ..cascade, name = value`: further names are children of their own."""
        children = node.children()
        names = [each for each in node.named_children() if each.kind() == "identifier"]
        if not names:
            return
        name = names[0]
        values = []
        seen = False
        for each in children:
            seen = seen or each.kind() == "="
            if seen and each.is_named() and each.kind() != "initialized_identifier":
                values.append(each)
        read = self._named_cascade(values, name) if values else None
        if read is not None:
            self._used(read, Use.ASSIGNED, node)
        self._bind(name, read, node, constant=children[0].kind() in {"const", "final"})
        for each in children:
            if each.kind() == "initialized_identifier":
                self._variable(each)

    def _bind(self, name: SgNode, value: Expr | None, node: SgNode, *, constant: bool) -> None:
        start, end, line = span(name)
        target = Name(start, end, line, name.text())
        self._assign(target, value, node, declared=True, constant=constant)
        if self.module.functions[self._function].is_class:
            this = Name(start, start, line, THIS)
            self._assign(Member(start, end, line, this, name.text()), value, node)
        elif self._function == 0:
            self.module.exports.append(Export(name.text(), name.text()))

    def _declared_function(self, node: SgNode) -> None:
        signature = _signature(node)
        body = next((each for each in node.children() if each.kind() == "function_body"), None)
        if signature is None:
            return
        words = [each for each in signature.children() if each.kind() == "identifier"]
        if not words:
            return
        name = words[-1] if len(words) > 1 else words[0]
        text = name.text()
        value = self._function_value(node, text, signature, body)
        function = self.module.functions[value.function]
        function.declared_at = span(name)[0]
        function.method = self.module.functions[function.parent].is_class
        target = Name(*span(name), text)
        self._assign(target, value, node, declared=True, constant=True)
        if self._function == 0:
            self.module.exports.append(Export(text, text))

    def _class(self, node: SgNode) -> None:
        names = [each for each in node.children() if each.kind() == "identifier"]
        text = names[0].text() if names else ""
        start = span(node)[0]
        function = self._new_function(node, text, node)
        function.is_class = True
        function.class_name, function.receiver = text, start
        if names:
            function.declared_at = span(names[0])[0]
            target = Name(*span(names[0]), text)
            value = self._lambda(node, function)
            self._assign(target, value, node, declared=True, constant=True)
            self.module.exports.append(Export(text, text))
        with self._inside(function), self._receiver(start, text):
            for part in node.children():
                if part.kind().endswith("_body"):
                    self._statements(part.children())

    # Control flow

    def _if(self, node: SgNode) -> None:
        parts = node.named_children()
        guarded = [p for p in parts if p.kind() == "block" or p.kind().endswith("_statement")]
        arms: list[Arm] = [(None, part) for part in guarded]
        if arms and parts[0] not in guarded:
            arms[0] = (parts[0], guarded[0], self._condition(parts[0]))
        self._fork(arms, total=len(arms) > 1)
        for part in parts[1:]:
            self._statement(part, part.kind())

    def _for(self, node: SgNode) -> None:
        children = node.children()
        place = next((i for i, each in enumerate(children) if each.kind() == "in"), -1)
        if place < 1:
            self._statements(children)
            return
        pattern, iterable = children[place - 1], self._expression(children[place + 1])
        if pattern.kind() == "identifier":
            targets: tuple[tuple[str, tuple[str | int, ...]], ...] = ((pattern.text(), ()),)
        else:
            names = [each.text() for each in pattern.named_children()]
            targets = tuple((name, (position,)) for position, name in enumerate(names))
        with self._scope(*span(node)[:2]):
            self._loop(targets, iterable, node, keys=False)
            self._statements(children[place + 2 :])

    # Modules

    def _import(self, node: SgNode) -> None:
        uri = node.find(kind="uri")
        if uri is None:
            return
        module = uri.text().strip("'\"")
        exported = node.find(kind="library_export") is not None
        if exported:
            self.module.exports.append(Export("*", "*", module))
            return
        alias = node.find(kind="import_specification")
        children = [] if alias is None else alias.children()
        for place, each in enumerate(children):
            if each.kind() == "as" and place + 1 < len(children):
                local = children[place + 1].text()
                self.module.imports[local] = Import(local, module, "*")
                return
        # All names of the other library are known here without a word of their own.
        self.module.imports[f"*{module}"] = Import(f"*{module}", module, "*")


def _signature(node: SgNode) -> SgNode | None:
    for each in node.children():
        if each.kind() in _SIGNATURES:
            return each
        if each.kind() == "method_signature":
            return next((inner for inner in each.children() if inner.kind() in _SIGNATURES), None)
    return None
