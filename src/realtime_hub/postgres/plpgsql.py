"""The SQL that a PL/pgSQL block executes, as far as its text alone tells.

Assignments, loops over arrays, `format` and `||` are followed; every branch is taken. What
depends on the database is not: such statements are counted as unresolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pglast import parse_plpgsql, parse_sql
from pglast.parser import ParseError
from psycopg import sql

Value: TypeAlias = "str | list[str] | None"
_PLACE: Final = re.compile(r"%(?:(\d+)\$)?([sIL%])")
_MOST: Final = 10_000


@dataclass(slots=True)
class Executed:
    """Statements in order. unresolved: EXECUTEs whose text is not known here."""

    statements: list[str] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)


def executed_by(body: str) -> Executed:
    """What a DO block's body executes.

    Raises:
        ParseError: it is no PL/pgSQL.
    """
    tag = "$realtime_hub$"
    text = f"create function f() returns void language plpgsql as {tag}{body}{tag}"
    (function,) = parse_plpgsql(text)
    walk = _Walk()
    walk.function(function["PLpgSQL_function"])
    return walk.found


class _Walk:
    def __init__(self) -> None:
        self.found = Executed()
        self._names: list[str] = []
        self._values: dict[str, Value] = {}

    def function(self, function: Mapping[str, Any]) -> None:
        for datum in function.get("datums", ()):
            variable = datum.get("PLpgSQL_var", {})
            self._names.append(variable.get("refname", ""))
            if "default_val" in variable:
                self._values[variable["refname"]] = self._value(variable["default_val"])
        self._statement(function["action"])

    def _statement(self, node: Mapping[str, Any]) -> None:
        ((kind, body),) = node.items()
        match kind:
            case "PLpgSQL_stmt_execsql":
                self._add(_query(body["sqlstmt"]))
            case "PLpgSQL_stmt_dynexecute":
                self._execute(body["query"])
            case "PLpgSQL_stmt_assign":
                self._assign(body)
            case "PLpgSQL_stmt_foreach_a":
                self._loop(body, self._variable(body["varno"]), self._value(body["expr"]))
            case "PLpgSQL_stmt_fors":
                self._loop(body, self._target(body), self._rows(_query(body["query"])))
            case _:
                for child in _statements(body):
                    self._statement(child)

    def _loop(self, body: Mapping[str, Any], name: str, values: Value) -> None:
        # One pass with an unknown value still finds statements that do not depend on it.
        for value in values if isinstance(values, list) else [None]:
            self._values[name] = value
            for child in body.get("body", ()):
                self._statement(child)

    def _assign(self, body: Mapping[str, Any]) -> None:
        _, _, expression = _query(body["expr"]).partition("=")
        self._values[self._variable(body["varno"])] = self._evaluated(expression.lstrip("="))

    def _execute(self, query: Mapping[str, Any]) -> None:
        text = self._value(query)
        if isinstance(text, str):
            self._add(text)
        else:
            self.found.unresolved.append(_query(query))

    def _add(self, statement: str) -> None:
        if len(self.found.statements) < _MOST:
            self.found.statements.append(statement)

    def _variable(self, number: int) -> str:
        return self._names[number] if number < len(self._names) else ""

    def _target(self, body: Mapping[str, Any]) -> str:
        variable = body.get("var", {})
        fields = variable.get("PLpgSQL_row", {}).get("fields") or [{}]
        return str(fields[0].get("name") or variable.get("PLpgSQL_rec", {}).get("refname", ""))

    def _value(self, expression: Mapping[str, Any]) -> Value:
        return self._evaluated(_query(expression))

    def _rows(self, query: str) -> Value:
        """What `select unnest(...)`, `select ... from unnest(...)` and VALUES give."""
        select = _first(query)
        return self._listed(select) if _kind(select) == "SelectStmt" else None

    def _listed(self, select: Any) -> Value:
        if select.valuesLists:
            return _strings([evaluate(row[0], self._values) for row in select.valuesLists])
        calls: list[Any] = [target.val for target in select.targetList or ()]
        for source in select.fromClause or ():
            if _kind(source) == "RangeFunction":
                calls = [source.functions[0][0]]
            elif _kind(source) == "RangeSubselect" and source.subquery.valuesLists:
                lists = source.subquery.valuesLists
                return _strings([evaluate(row[0], self._values) for row in lists])
            else:
                return None
        call: Any = calls[0] if calls else None
        if _kind(call) == "FuncCall" and call.funcname[-1].sval == "unnest":
            return evaluate(call.args[0], self._values)
        return None

    def _evaluated(self, expression: str) -> Value:
        select = _first(f"select {expression}")
        return None if select is None else evaluate(select.targetList[0].val, self._values)


def evaluate(node: Any, values: Mapping[str, Value]) -> Value:
    """The value of an expression made of constants, variables, `format` and the like."""
    match _kind(node):
        case "A_Const" if not node.isnull:
            value = getattr(node.val, "sval", getattr(node.val, "ival", None))
            return None if value is None else str(value)
        case "TypeCast":
            return _array(evaluate(node.arg, values), bool(node.typeName.arrayBounds))
        case "A_ArrayExpr":
            return _strings([evaluate(item, values) for item in node.elements or ()])
        case "ColumnRef":
            # `r.name` of a record that a loop fills has the record's one value.
            parts = [part.sval for part in node.fields if _kind(part) == "String"]
            return next((values[part] for part in parts if part in values), None)
        case "A_Expr" if node.name[-1].sval == "||" and node.lexpr is not None:
            return _joined(evaluate(node.lexpr, values), evaluate(node.rexpr, values))
        case "FuncCall":
            arguments = [evaluate(item, values) for item in node.args or ()]
            return _called(node.funcname[-1].sval, arguments)
    return None


def _kind(node: Any) -> str:
    """The name of a parse node's class."""
    return type(node).__name__


def _called(function: str, arguments: list[Value]) -> Value:
    texts = [item for item in arguments if isinstance(item, str)]
    if len(texts) != len(arguments) or not texts:
        return None
    match function:
        case "format":
            return _format(texts[0], texts[1:])
        case "quote_ident":
            return _identifier(texts[0])
        case "quote_literal":
            return _literal(texts[0])
        case "concat":
            return "".join(texts)
    return None


def _format(template: str, arguments: list[str]) -> Value:
    """PostgreSQL's `format`; None where an argument is missing."""
    following = 0

    def place(match: re.Match[str]) -> str:
        nonlocal following
        number, kind = match.groups()
        if kind == "%":
            return "%"
        index = int(number) - 1 if number else following
        following = index + 1
        value = arguments[index]
        return value if kind == "s" else _identifier(value) if kind == "I" else _literal(value)

    try:
        return _PLACE.sub(place, template)
    except IndexError:
        return None


def _joined(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and right is not None:
        return left + (right if isinstance(right, list) else [right])
    return None


def _array(value: Value, wanted: bool) -> Value:
    if wanted and isinstance(value, str) and value[:1] == "{":
        inner = value.strip("{}")
        return [part.strip().strip('"') for part in inner.split(",")] if inner else []
    return value


def _strings(values: list[Value]) -> Value:
    texts = [value for value in values if isinstance(value, str)]
    return texts if len(texts) == len(values) else None


def _first(text: str) -> Any:
    """The first statement of a text; None if it does not parse."""
    try:
        return parse_sql(text)[0].stmt
    except (ParseError, IndexError):
        return None


def _query(expression: Mapping[str, Any]) -> str:
    return str(expression["PLpgSQL_expr"]["query"])


def _statements(node: Any) -> Iterator[Mapping[str, Any]]:
    """The statements directly beneath, in the order in which they stand."""
    if isinstance(node, list):
        for item in node:
            yield from _statements(item)
    elif isinstance(node, Mapping):
        for name, child in node.items():
            if name.startswith("PLpgSQL_stmt_"):
                yield {name: child}
            elif name != "exceptions":
                yield from _statements(child)


def _identifier(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)
