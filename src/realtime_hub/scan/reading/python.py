"""Python; kinds as in tree-sitter-python 0.23."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ast_grep_py import SgNode

from realtime_hub.scan.reading.python_values import PythonValues
from realtime_hub.scan.reading.reader import span
from realtime_hub.scan.syntax import THIS, Export, Expr, Import, Member, Module, Name, Path, Use

_BLOCKS: Final = frozenset({"block", "with_statement"})


class PythonReader(PythonValues):
    """Statements; values are read by the class above."""

    def __init__(self, module: Module, root: SgNode) -> None:
        super().__init__(module, root)
        self._outer: set[tuple[int, str]] = set()

    def _statement(self, node: SgNode, kind: str) -> None:
        match kind:
            case "comment":
                pass
            case "expression_statement":
                for child in node.named_children():
                    if child.kind() == "assignment":
                        self._assignment(child, node)
                    elif child.kind() == "augmented_assignment":
                        self._augmented(child)
                    else:
                        self._used(self._expression(child), Use.DISCARDED, node)
            case "return_statement":
                value = None
                for child in node.named_children():
                    value = self._used(self._expression(child), Use.RETURNED, node)
                self._leave(node, value)
            case "raise_statement":
                self._leave(node, raised=True)
                self._statements(node.named_children())
            case "function_definition":
                self._function_definition(node)
            case "class_definition":
                self._class(node)
            case "if_statement":
                self._if(node)
            case "try_statement":
                self._try(node)
                self._statements(node.children())
            case "while_statement":
                self._while(node)
            case "match_statement":
                self._match(node)
            case "for_statement":
                self._for(node)
            case "global_statement" | "nonlocal_statement":
                for child in node.named_children():
                    self._outer.add((self._function, child.text()))
            case "with_item":
                self._with(node)
            case "import_statement" | "import_from_statement":
                self._import(node)
            case "type":
                pass
            case _ if kind in _BLOCKS or kind.endswith(("_clause", "_definition", "_case")):
                self._statements(node.children())
            case _ if kind == "ERROR":
                self._statements(node.children())
            case _ if node.is_named():
                self._expression(node)

    def _assignment(self, node: SgNode, statement: SgNode) -> None:
        left, right = node.field("left"), node.field("right")
        if left is None:
            return
        value = None if right is None else self._read_value(right, left, statement)
        targets = list(_targets(left))
        for target, path in targets:
            read = self._expression(target)
            if isinstance(read, Name):
                self._bind(read, value, statement, path, len(targets) == 1)
            else:
                self._assign(read, value, statement, path=path)

    def _augmented(self, node: SgNode) -> None:
        left, right = node.field("left"), node.field("right")
        if left is not None and right is not None:
            self._expression(right)
            self._changed(self._expression(left), node)

    def _read_value(self, right: SgNode, left: SgNode, statement: SgNode) -> Expr:
        if right.kind() == "assignment":  # a = b = value
            self._assignment(right, statement)
            inner = right.field("right")
            return self._expression(inner if inner is not None else right)
        name = left.text() if left.kind() == "identifier" else ""
        return self._used(self._expression(right, name), Use.ASSIGNED, statement)

    def _bind(
        self, name: Name, value: Expr | None, statement: SgNode, path: Path, alone: bool
    ) -> None:
        self._assign(
            name,
            value,
            statement,
            path=path,
            declared=(self._function, name.name) not in self._outer,
            scope=self._function_scope(),
            alone=alone,
        )
        if self.module.functions[self._function].is_class:
            this = Name(name.start, name.start, name.line, THIS)
            member = Member(name.start, name.end, name.line, this, name.name)
            self._assign(member, value, statement, path=path)
        elif self._function == 0:
            self.module.exports.append(Export(name.name, name.name))

    def _function_definition(self, node: SgNode) -> None:
        name = node.field("name")
        if name is None:
            return
        value = self._function_value(node, name.text(), span(name)[0])
        target = Name(*span(name), name.text())
        self._assign(target, value, node, declared=True, constant=True)
        if self._function == 0:
            self.module.exports.append(Export(name.text(), name.text()))

    def _class(self, node: SgNode) -> None:
        name, body = node.field("name"), node.field("body")
        if name is None:
            return
        start = span(node)[0]
        function = self._new_function(node, name.text(), body)
        function.is_class = True
        function.class_name, function.receiver = name.text(), start
        function.declared_at = span(name)[0]
        target = Name(*span(name), name.text())
        value = self._lambda(node, function)
        self._assign(target, value, node, declared=True, constant=True)
        if self._function == 0:
            self.module.exports.append(Export(name.text(), name.text()))
        bases = node.field("superclasses")
        if bases is not None and body is not None:
            for each in bases.named_children():
                self._extends(self._expression(each), node, body)
        if body is not None:
            with self._inside(function), self._receiver(start, name.text()):
                self._statements(body.children())

    def _with(self, node: SgNode) -> None:
        """`with value as name`."""
        parts = node.named_children()
        inner = parts[0].named_children() if parts else []
        named = inner[1].named_children() if len(inner) > 1 else []
        if not parts or parts[0].kind() != "as_pattern" or not named:
            self._opaque(node)
            return
        value = self._used(self._expression(inner[0]), Use.ASSIGNED, node)
        for target, path in _targets(named[0]):
            read = self._expression(target)
            if isinstance(read, Name):
                self._bind(read, value, node, path, alone=True)

    def _if(self, node: SgNode) -> None:
        kinds = {"elif_clause", "else_clause"}
        clauses = [each for each in node.children() if each.kind() in kinds]
        arms: list[tuple[SgNode | None, SgNode, Expr | None]] = []
        for each in (node, *clauses):
            test, part = each.field("condition"), each.field("consequence") or each.field("body")
            condition = None if test is None else self._condition(test)
            if part is not None:
                arms.append((test, part, condition))
        self._fork(arms, total=bool(clauses) and clauses[-1].kind() == "else_clause")
        for _, part, _ in arms:
            self._statement(part, part.kind())

    def _match(self, node: SgNode) -> None:
        subject, body = node.field("subject"), node.field("body")
        if subject is not None:
            self._expression(subject)
        if body is not None:
            self._switch(body)
            self._statements(body.children())

    def _for(self, node: SgNode) -> None:
        left, right, body = node.field("left"), node.field("right"), node.field("body")
        if left is None or right is None:
            return
        iterable = self._expression(right)
        targets = tuple((target.text(), path) for target, path in _targets(left))
        self._loop(targets, iterable, node, keys=False)
        if body is not None:
            self._statements(body.children())

    def _import(self, node: SgNode) -> None:
        origin = node.field("module_name")
        for child in node.children():
            if child.kind() not in {"dotted_name", "aliased_import"} or child == origin:
                continue
            name, alias = child, None
            if child.kind() == "aliased_import":
                name, alias = child.field("name") or child, child.field("alias")
            if origin is None:
                local = (alias or name).text()
                self.module.imports[local] = Import(local, name.text(), "*")
            elif span(child)[0] != span(origin)[0]:
                local = (alias or name).text()
                self.module.imports[local] = Import(local, origin.text(), name.text())


def _targets(left: SgNode, path: Path = ()) -> Iterator[tuple[SgNode, Path]]:
    if left.kind() in {"pattern_list", "tuple_pattern", "list_pattern", "tuple"}:
        for position, each in enumerate(left.named_children()):
            yield from _targets(each, (*path, position))
    else:
        yield left, path
