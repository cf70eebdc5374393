"""JavaScript and TypeScript with their dialects; kinds as in tree-sitter-typescript 0.23."""

from __future__ import annotations

import re
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.javascript_values import JavaScriptValues
from realtime_hub.scan.reading.patterns import bound_names
from realtime_hub.scan.reading.reader import span
from realtime_hub.scan.syntax import (
    THIS,
    Export,
    Expr,
    Import,
    Member,
    Name,
    Record,
    Use,
)

_DECLARATIONS: Final = frozenset({"lexical_declaration", "variable_declaration"})
_CLASSES: Final = frozenset({"class_declaration", "abstract_class_declaration", "class"})
_FIELDS: Final = frozenset({"public_field_definition", "field_definition"})
_TYPES: Final = frozenset(
    {
        "type_annotation",
        "ambient_declaration",
        "function_signature",
        "type_arguments",
        "type_parameters",
    }
)
_MODULE: Final = re.compile(r"['\"]")


class JavaScriptReader(JavaScriptValues):
    """Statements; values are read by the class that it is made from."""

    def _statement(self, node: SgNode, kind: str) -> None:
        match kind:
            case "comment":
                pass
            case "expression_statement":
                for child in node.named_children():
                    value = self._expression(child)
                    if "assignment" not in child.kind():
                        self._used(value, Use.DISCARDED, node)
            case "lexical_declaration" | "variable_declaration":
                self._declaration(node, node)
            case "return_statement":
                self._return(node)
            case "function_declaration" | "generator_function_declaration":
                self._function_declaration(node)
            case "export_statement":
                self._export(node)
            case "import_statement":
                self._import(node)
            case "if_statement":
                self._if(node)
            case "for_in_statement":
                self._for_in(node)
            case "statement_block" | "switch_body" | "for_statement" | "class_static_block":
                if kind == "switch_body":
                    self._switch(node)
                with self._scope(*span(node)[:2]):
                    self._statements(node.children())
            case "try_statement":
                self._try(node)
                self._statements(node.children())
            case "while_statement":
                self._while(node)
            case "throw_statement":
                self._leave(node, raised=True)
                self._statements(node.children())
            case "enum_declaration":
                self._enum(node)
            case _ if kind in _CLASSES:
                self._class(node)
            case "interface_declaration" | "type_alias_declaration":
                self._type(node)
            case _ if kind in _TYPES or not node.is_named():
                pass
            case _ if kind.endswith(("_statement", "_clause", "_case", "_default")) or kind in {
                "ERROR",
                "else_clause",
                "internal_module",
                "module",
            }:
                self._statements(node.children())
            case _:
                self._expression(node)

    # Declarations

    def _declaration(self, node: SgNode, statement: SgNode) -> None:
        constant = node.text().startswith("const")
        declarators = [each for each in node.children() if each.kind() == "variable_declarator"]
        scope = self._function_scope() if node.kind() == "variable_declaration" else None
        for each in declarators:
            target, value = each.field("name"), each.field("value")
            if target is None:
                continue
            read = None if value is None else self._named_value(value, target)
            if read is not None:
                self._used(read, Use.ASSIGNED, statement)
            self._bind(target, read, statement, constant, scope=scope, alone=len(declarators) == 1)

    def _named_value(self, value: SgNode, target: SgNode) -> Expr:
        """A function takes its name from what it is assigned to."""
        if target.kind() == "identifier":
            return self._expression(value, target.text(), span(target)[0])
        return self._expression(value)

    def _bind(
        self,
        target: SgNode,
        value: Expr | None,
        statement: SgNode,
        constant: bool,
        *,
        scope: tuple[int, int] | None = None,
        alone: bool = True,
    ) -> None:
        for name, path, default, where in bound_names(target):
            if default is not None:
                self._expression(default)
            self._assign(
                Name(*span(where), name),
                value,
                statement,
                path=path,
                declared=True,
                constant=constant,
                scope=scope,
                alone=alone,
            )

    def _return(self, node: SgNode) -> None:
        value = None
        for child in node.named_children():
            if child.kind() != "comment":
                value = self._used(self._expression(child), Use.RETURNED, node)
        self._leave(node, value)

    def _function_declaration(self, node: SgNode) -> Expr:
        name = node.field("name")
        text = "" if name is None else name.text()
        function = self._function_value(node, text)
        if name is not None:
            self.module.functions[function.function].declared_at = span(name)[0]
            self._assign(Name(*span(name), text), function, node, declared=True, constant=True)
        return function

    def _enum(self, node: SgNode) -> None:
        name, body = node.field("name"), node.field("body")
        if name is None or body is None:
            return
        fields: list[tuple[str, Expr]] = []
        for each in body.children():
            if each.kind() == "enum_assignment":
                key, value = each.field("name"), each.field("value")
                if key is not None and value is not None:
                    fields.append((key.text().strip("'\""), self._expression(value)))
        record = Record(*span(body), tuple(fields))
        self._assign(Name(*span(name), name.text()), record, node, declared=True, constant=True)

    def _type(self, node: SgNode) -> None:
        """An object type that adds nothing to another one."""
        children = node.named_children()
        if len(children) == 2:
            self._object_type(children[0].text(), children[1])

    def _class(self, node: SgNode) -> Expr:
        name, body = node.field("name"), node.field("body")
        text = "" if name is None else name.text()
        start, _end, _line = span(node)
        function = self._new_function(node, text, body)
        function.is_class = True
        function.class_name, function.receiver = text, start
        if name is not None:
            function.declared_at = span(name)[0]
            where = Name(*span(name), text)
            value = self._lambda(node, function)
            self._assign(where, value, node, declared=True, constant=True)
        for child in node.children():
            if child.kind() == "decorator":
                self._expression(child)
            elif child.kind() == "class_heritage" and body is not None:
                self._heritage(child, body)
        if body is not None:
            with self._inside(function), self._receiver(start, text):
                for member in body.children():
                    self._class_member(member)
        return self._lambda(node, function)

    def _heritage(self, node: SgNode, body: SgNode) -> None:
        """`extends Base`; in TypeScript a clause of its own, beside `implements`."""
        for each in node.named_children():
            typed = each.kind() == "extends_clause"
            base = each.field("value") if typed else each
            if base is not None and each.kind() != "implements_clause":
                self._extends(self._expression(base), node, body)

    def _class_member(self, node: SgNode) -> None:
        kind = node.kind()
        if kind in {"comment", "class_static_block", "decorator"}:
            self._statement(node, kind)
        elif kind == "method_definition":
            self._method(node)
        elif kind in _FIELDS:
            key = node.field("name") or node.field("property")
            value = node.field("value")
            if key is None or value is None:
                return
            start, end, line = span(key)
            text = key.text()
            target = Member(start, end, line, Name(start, start, line, THIS), text)
            self._assign(target, self._expression(value, text, start), node, constant=True)

    # Control flow

    def _if(self, node: SgNode) -> None:
        test = node.field("condition")
        condition = None if test is None else self._condition(test)
        consequence, alternative = node.field("consequence"), node.field("alternative")
        arms = [(test, consequence, condition), (None, alternative, None)]
        parts = [(given, part, value) for given, part, value in arms if part is not None]
        self._fork(parts, total=alternative is not None)
        for _, part, _ in parts:
            self._statement(part, part.kind())

    def _for_in(self, node: SgNode) -> None:
        left, right, body = node.field("left"), node.field("right"), node.field("body")
        if left is None or right is None:
            return
        operator = node.field("operator")
        iterable = self._expression(right)
        with self._scope(*span(node)[:2]):
            targets = tuple((name, path) for name, path, _, _ in bound_names(left))
            keys = operator is not None and operator.text() == "in"
            self._loop(targets, iterable, node, keys)
            if body is not None:
                self._statement(body, body.kind())

    # Modules

    def _import(self, node: SgNode) -> None:
        source = node.field("source")
        if source is None:
            return
        module = _MODULE.sub("", source.text())
        for clause in (child for child in node.children() if child.kind() == "import_clause"):
            for each in clause.children():
                match each.kind():
                    case "identifier":
                        self._imported(each.text(), module, "default")
                    case "namespace_import":
                        for name in each.named_children()[-1:]:
                            self._imported(name.text(), module, "*")
                    case "named_imports":
                        self._named_imports(each, module)

    def _named_imports(self, node: SgNode, module: str) -> None:
        for each in node.children():
            if each.kind() == "import_specifier":
                name, alias = each.field("name"), each.field("alias")
                if name is not None:
                    self._imported((alias or name).text(), module, name.text())

    def _imported(self, local: str, module: str, name: str) -> None:
        self.module.imports[local] = Import(local, module, name)

    def _export(self, node: SgNode) -> None:
        source = node.field("source")
        module = "" if source is None else _MODULE.sub("", source.text())
        default = any(child.kind() == "default" for child in node.children())
        declaration, value = node.field("declaration"), node.field("value")
        if declaration is not None:
            self._exported(declaration, node, default)
        elif value is not None:
            read = self._expression(value, "default", span(node)[0])
            self.module.exports.append(Export("default", "", value=read))
        for child in node.children():
            if child.kind() == "export_clause":
                self._export_clause(child, module)
            elif child.kind() in {"*", "namespace_export"} and module:
                names = [] if child.kind() == "*" else child.named_children()
                name = names[-1].text() if names else "*"
                self.module.exports.append(Export(name, "*", module))
            elif child.kind() in {"comment", "decorator"}:
                self._statement(child, child.kind())

    def _exported(self, declaration: SgNode, node: SgNode, default: bool) -> None:
        if declaration.kind() in _DECLARATIONS:
            self._declaration(declaration, node)
            names = [
                name
                for each in declaration.children()
                if (target := each.field("name")) is not None
                for name, *_ in bound_names(target)
            ]
        else:
            self._statement(declaration, declaration.kind())
            own = declaration.field("name")
            names = [] if own is None else [own.text()]
        for name in names:
            self.module.exports.append(Export("default" if default else name, name))

    def _export_clause(self, node: SgNode, module: str) -> None:
        for each in node.children():
            if each.kind() == "export_specifier":
                name, alias = each.field("name"), each.field("alias")
                if name is not None:
                    local = name.text()
                    self.module.exports.append(Export((alias or name).text(), local, module))
