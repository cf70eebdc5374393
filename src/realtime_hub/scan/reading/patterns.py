"""Names that a pattern binds, and how to get to each."""

from __future__ import annotations

from collections.abc import Iterator

from ast_grep_py import SgNode

from realtime_hub.scan.syntax import REST, Path

Bound = tuple[str, Path, SgNode | None, SgNode]
"""Name, path, default, and where the name stands."""


def bound_names(pattern: SgNode, path: Path = ()) -> Iterator[Bound]:
    """Those of a JavaScript pattern such as `{ a, b: [c], ...rest }`."""
    match pattern.kind():
        case "identifier" | "shorthand_property_identifier_pattern":
            yield pattern.text(), path, None, pattern
        case "object_pattern":
            for each in pattern.named_children():
                yield from _of_object(each, path)
        case "array_pattern":
            position = 0
            for each in pattern.children():
                if each.kind() == ",":
                    position += 1
                elif each.is_named():
                    yield from bound_names(each, (*path, position))
        case "assignment_pattern" | "object_assignment_pattern":
            left, right = pattern.field("left"), pattern.field("right")
            if left is not None:
                for name, inner, _, where in bound_names(left, path):
                    yield name, inner, right, where
        case "rest_pattern":
            for each in pattern.named_children():
                yield from bound_names(each, (*path, REST))


def _of_object(each: SgNode, path: Path) -> Iterator[Bound]:
    match each.kind():
        case "shorthand_property_identifier_pattern":
            yield each.text(), (*path, each.text()), None, each
        case "pair_pattern":
            key, value = each.field("key"), each.field("value")
            if key is not None and value is not None:
                yield from bound_names(value, (*path, key.text().strip("'\"")))
        case "object_assignment_pattern":
            left, right = each.field("left"), each.field("right")
            if left is not None:
                yield left.text(), (*path, left.text()), right, left
        case "rest_pattern":
            for inner in each.named_children():
                yield from bound_names(inner, (*path, REST))
