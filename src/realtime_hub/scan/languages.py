"""Which files hold code, in which language, and how they are parsed."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from ast_grep_py import SgRoot, register_dynamic_language

from realtime_hub.scan.reading.dart import DartReader
from realtime_hub.scan.reading.javascript import JavaScriptReader
from realtime_hub.scan.reading.python import PythonReader
from realtime_hub.scan.reading.reader import Reader, span
from realtime_hub.scan.syntax import Assignment, Comment, Member, Module, Name, Opaque

TYPESCRIPT: Final = "typescript"
JAVASCRIPT: Final = "javascript"
PYTHON: Final = "python"
DART: Final = "dart"
SCRIPTS: Final = frozenset({"vue", "svelte", "html"})

_LANGUAGES: Final = {
    ".ts": TYPESCRIPT,
    ".mts": TYPESCRIPT,
    ".cts": TYPESCRIPT,
    ".tsx": "tsx",
    ".js": JAVASCRIPT,
    ".jsx": JAVASCRIPT,
    ".mjs": JAVASCRIPT,
    ".cjs": JAVASCRIPT,
    ".vue": "vue",
    ".svelte": "svelte",
    ".html": "html",
    ".htm": "html",
    ".py": PYTHON,
    ".dart": DART,
}
_READERS: Final[dict[str, type[Reader]]] = {PYTHON: PythonReader, DART: DartReader}
_SCRIPT: Final = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_WORDS: Final = re.compile(r"\blang\s*=\s*['\"]?(\w+)")
_CHANGED: Final = re.compile(
    r"""(?:bind:[\w:]+=\{|v-model[\w.:-]*=["'])\s*(\w+)|\b(\w+)(?:\.value)?\s*(?:=(?![=>"'{])|[-+]=|\+\+|--)"""
)
"""What markup binds or assigns to."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][\w$]*")
_NOT_LINE_END: Final = re.compile(r"[^\n]")


def language_of(path: str) -> str | None:
    """By the name's ending; None for what is not code of a kind that is known."""
    return _LANGUAGES.get(posixpath.splitext(path)[1].lower())


@cache
def family_of(path: str) -> str:
    """Files of one family may call each other's functions."""
    language = language_of(path)
    return language if language in _READERS else JAVASCRIPT


def read_module(path: str, source: str) -> Module:
    """Read a file's text.

    Raises:
        RecursionError: it is nested too deeply.
        KeyError: its ending is not known.
    """
    language = _LANGUAGES[posixpath.splitext(path)[1].lower()]
    text = source
    if language in SCRIPTS:
        text, language = script_of(source)
    module = parsed(path, language, source, text)
    if module.damaged and language == JAVASCRIPT:
        # Scripts with type annotations (Flow, or TypeScript under a wrong name).
        typed = parsed(path, "tsx", source, text)
        module = module if typed.damaged else typed
    if text is not source:
        _refer_to_template(module)
    return module


def parsed(path: str, language: str, source: str, text: str) -> Module:
    """Read code of a language.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if language == DART:
        _know_dart()
    module = Module(path, language, source, text)
    root = SgRoot(text, language).root()
    reader = _READERS.get(language, JavaScriptReader)(module, root)
    reader.read()
    module.damaged = module.damaged or root.find(kind="ERROR") is not None
    module.comments += [Comment(*span(node)) for node in root.find_all(kind="comment")]
    return module


def script_of(source: str) -> tuple[str, str]:
    """The script blocks of a component, all else blanked so that offsets stay, and their
    language."""
    kept: list[str] = []
    position = 0
    languages = set()
    for block in _SCRIPT.finditer(source):
        start, end = block.span(2)
        kept += [_NOT_LINE_END.sub(" ", source[position:start]), source[start:end]]
        position = end
        languages |= {found[1] for found in [_WORDS.search(block[1])] if found}
    kept.append(_NOT_LINE_END.sub(" ", source[position:]))
    if languages & {"tsx", "jsx"}:
        return "".join(kept), "tsx"
    return "".join(kept), TYPESCRIPT if languages & {"ts", "typescript"} else JAVASCRIPT


def _refer_to_template(module: Module) -> None:
    """What a component's markup names is used, though no code says so."""
    outside = "".join(
        a if b == " " or b == "\n" else " " for a, b in zip(module.source, module.text, strict=True)
    )
    for found in _IDENTIFIER.finditer(outside):
        module.references.setdefault(found[0], []).append(found.start())
    fixed = {w.target.name for w in module.assignments if w.constant and isinstance(w.target, Name)}
    changed = [(found[1] or found[2], found.start()) for found in _CHANGED.finditer(outside)]
    if module.path.endswith(".svelte"):  # `export let` is for who uses the component
        changed += [(each.local, 0) for each in module.exports if each.local not in fixed]
    for name, offset in changed:
        variable = Name(offset, offset, 1, name)
        _may_change(module, Member(offset, offset, 1, variable, "value"))  # of a Vue ref
        if name not in fixed:
            _may_change(module, variable)


def _may_change(module: Module, target: Name | Member) -> None:
    """Code that is not seen writes to it."""
    at = target.start
    scope = (0, len(module.text))
    value = Opaque(at, at, 1)
    module.assignments.append(Assignment(target, value, (), False, scope, 0, at, at, 1))


@cache
def _know_dart() -> None:
    """Hand the grammar's own library to ast-grep, so that all trees are alike."""
    import tree_sitter_dart

    folder = Path(tree_sitter_dart.__file__).parent
    library = next(path for path in folder.iterdir() if path.name.startswith("_binding."))
    language: Any = {
        "library_path": str(library),
        "language_symbol": "tree_sitter_dart",
        "extensions": ["dart"],
    }
    register_dynamic_language({DART: language})
