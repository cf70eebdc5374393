"""What an expression may read: columns of the row, and claims."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pglast import ast
from pglast.enums import A_Expr_Kind

from realtime_hub.auth.expressions import Compiler
from realtime_hub.auth.nodes import ALL_CLAIMS
from realtime_hub.auth.predicates import PREFIX, parse
from realtime_hub.auth.values import Uncertain

SYSTEM_COLUMNS: Final = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

# Functions of PostgreSQL's own that read nothing but their arguments, or the time.
_PLAIN_NAMES: Final = (
    "abs array_append array_cat array_length array_position array_remove array_to_string "
    "array_upper btrim cardinality ceil char_length concat concat_ws date_part date_trunc "
    "extract floor greatest jsonb_array_elements jsonb_array_elements_text jsonb_array_length "
    "jsonb_build_array jsonb_build_object jsonb_extract_path jsonb_extract_path_text "
    "jsonb_typeof least left length lower ltrim md5 mod now octet_length position regexp_match "
    "regexp_replace replace reverse right round rtrim split_part starts_with string_to_array "
    "strpos substr substring to_char to_jsonb transaction_timestamp trim unnest upper"
)
PLAIN: Final = frozenset(_PLAIN_NAMES.split())


def names_read(expression: str, table: str) -> frozenset[str] | None:
    """Names that an expression may mean as columns of the table, and more; None if it may read
    whole rows."""
    try:
        tree = parse(expression)
    except Uncertain:
        return None
    names: set[str] = set()
    for node in walk(tree):
        if isinstance(node, ast.ColumnRef):
            last: Any = (node.fields or ())[-1]
            if not isinstance(last, ast.String) or last.sval == table:
                return None
            names.add(str(last.sval))
    return frozenset(names)


def claims_read(expression: str, compiler: Compiler) -> frozenset[str]:
    """Names of the claims that an expression may read, with "" for all of them.

    Tables may have policies of their own, and functions may read any setting: whatever is not
    known to be harmless reads all.
    """
    try:
        return _claims(parse(expression), compiler)
    except (Uncertain, RecursionError):
        return ALL_CLAIMS


def qualified(expression: str) -> str | None:
    """The expression with the schema written to each name that it takes from pg_catalog; None
    if it can't be read here.

    Deparsed with an empty search path, bare names are pg_catalog's. Under another path, on which
    functions that a policy calls depend, PostgreSQL would prefer an overload that fits better.
    """
    try:
        tree = parse(expression)
        edits = sorted(filter(None, map(_bare_name, walk(tree))), reverse=True)
        text = expression
        for place, name, full in edits:
            found = next((n for n in (name, f'"{name}"') if text.startswith(n, place)), None)
            if found is None:
                return None
            text = text[:place] + full.format(found) + text[place + len(found) :]
        return text if _shape(parse(text)) == _shape(tree) else None
    except (Uncertain, RecursionError):
        return None


def _bare_name(node: ast.Node) -> tuple[int, str, str] | None:
    """Where a function or an operator is named without a schema, and how it is with one."""
    if isinstance(node, ast.FuncCall):
        names, full = node.funcname or (), "pg_catalog.{}"
    elif isinstance(node, ast.A_Expr) and node.kind in _WITH_OPERATOR:
        names, full = node.name or (), "OPERATOR(pg_catalog.{})"
    else:
        return None
    bare: Any = names[0] if len(names) == 1 else None
    place: Any = node.location
    return None if bare is None else (place - len(PREFIX), str(bare.sval), full)


_WITH_OPERATOR: Final = (
    A_Expr_Kind.AEXPR_OP,
    A_Expr_Kind.AEXPR_OP_ANY,
    A_Expr_Kind.AEXPR_OP_ALL,
)


def _shape(tree: Any) -> list[type]:
    return [type(node) for node in walk(tree) if not isinstance(node, ast.String)]


def _claims(node: Any, compiler: Compiler) -> frozenset[str]:
    try:
        return compiler.compile(node).claims
    except (Uncertain, ValueError, TypeError):
        pass
    if _may_read_anything(node):
        return ALL_CLAIMS
    found = frozenset[str]()
    for child in children(node):
        found |= _claims(child, compiler)
    return found


def _may_read_anything(node: Any) -> bool:
    if isinstance(node, ast.FuncCall):
        names = [getattr(part, "sval", "") for part in node.funcname or ()]
        return len(names) != 1 or names[0] not in PLAIN
    if isinstance(node, ast.A_Expr):
        return len(node.name or ()) != 1
    if isinstance(node, ast.TypeName):
        names = [getattr(part, "sval", "") for part in node.names or ()]
        return len(names) != 1 and names[0] != "pg_catalog"
    return isinstance(node, ast.RangeVar | ast.XmlExpr | ast.XmlSerialize)


def walk(node: Any) -> Iterator[ast.Node]:
    waiting = [node]
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(children(item))


def children(node: ast.Node) -> Iterator[ast.Node]:
    waiting = [getattr(node, name) for name in node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple | list):
            waiting.extend(item)
        elif isinstance(item, ast.Node):
            yield item
