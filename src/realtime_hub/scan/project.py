"""The files of a tree: which there are, what each exports, and what an import means."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from realtime_hub.scan.languages import DART, PYTHON, family_of
from realtime_hub.scan.syntax import Export, Import, Module

_ENDINGS: Final = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts", ".cjs", ".vue", ".svelte")
_INDEXES: Final = ("/index.ts", "/index.tsx", "/index.js", "/index.jsx", "/index.mjs")
_PYTHON: Final = (".py", "/__init__.py")
_RENAMED: Final = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",)}

_AUTO_IMPORTED: Final = ("/composables/", "/stores/", "/utils/")
_MOST: Final = 50

Load = Callable[[str], Module | None]
Mentions = Callable[[str], set[str]]


class Project:
    """Modules by path; others of the tree are read when an import leads there.

    paths: all files of code. load: reads one; None if it can't be read. mentions: the files in
    which a word stands.
    """

    def __init__(
        self,
        modules: Iterable[Module],
        paths: Iterable[str] = (),
        load: Load = lambda path: None,
        mentions: Mentions = lambda name: set(),
    ) -> None:
        self._mentions = mentions
        self.modules: dict[str, Module | None] = {module.path: module for module in modules}
        self._load = load
        self._paths = frozenset(paths) | self.modules.keys()
        self._by_ending: dict[str, list[str]] | None = None
        self._auto: tuple[int, dict[str, list[tuple[Module, Export]]]] = (-1, {})
        self._resolved: dict[tuple[str, str], str | None] = {}

    @property
    def known(self) -> list[Module]:
        """Those that have been read, in order of their paths."""
        return [module for _, module in sorted(self.modules.items()) if module is not None]

    def module(self, path: str) -> Module | None:
        if path not in self.modules:
            self.modules[path] = self._load(path)
        return self.modules[path]

    def imported(self, module: Module, found: Import) -> Module | None:
        """The module that an import leads to; None if it is not in the tree."""
        path = self.resolve(module, found.module)
        return None if path is None else self.module(path)

    def mentioned(self, name: str, besides: str) -> bool:
        """Another file than the given one has the word."""
        return bool(self._mentioning(name, besides))

    def _mentioning(self, name: str, besides: str) -> set[str]:
        """Other files of the same family that have the word."""
        family = family_of(besides)
        return {path for path in self._mentions(name) - {besides} if family_of(path) == family}

    def imported_by(self, module: Module) -> bool:
        """Another file of the tree imports the module."""
        paths = self._mentioning(word_of(module), module.path)
        return any(self._imports(path, module) for path in sorted(paths)[:_MOST])

    def _imports(self, path: str, wanted: Module) -> bool:
        module = self.module(path)
        if module is None:
            return False
        named = {found.module for found in module.imports.values()}
        named |= {export.module for export in module.exports if export.module}
        return any(self.resolve(module, each) == wanted.path for each in named)

    def exported(
        self, module: Module, name: str, seen: frozenset[str] = frozenset()
    ) -> tuple[Module, Export] | None:
        """Where a name of a module is defined, re-exports followed."""
        if module.path in seen:
            return None
        seen |= {module.path}
        for export in module.exports:
            if export.name == name and not export.module:
                return module, export
            if export.name == name and export.module:
                return self._passed_on(module, export, seen)
        for export in module.exports:
            if export.name == "*" and export.module:
                target = self._target(module, export.module)
                found = None if target is None else self.exported(target, name, seen)
                if found is not None:
                    return found
        return None

    def auto_imported(self, name: str) -> tuple[Module, Export] | None:
        """What Nuxt knows without an import: composables, stores and utilities."""
        if self._auto[0] != len(self.modules):
            self._auto = (len(self.modules), self._auto_exports())
        found = self._auto[1].get(name, ())
        return found[0] if len(found) == 1 else None

    def _auto_exports(self) -> dict[str, list[tuple[Module, Export]]]:
        found: dict[str, list[tuple[Module, Export]]] = {}
        for module in self.known:
            if any(folder in f"/{module.path}" for folder in _AUTO_IMPORTED):
                for export in module.exports:
                    if not export.module and export.value is None:
                        found.setdefault(export.name, []).append((module, export))
        return found

    def _passed_on(
        self, module: Module, export: Export, seen: frozenset[str]
    ) -> tuple[Module, Export] | None:
        target = self._target(module, export.module)
        if target is None or export.local == "*":
            return None
        return self.exported(target, export.local, seen)

    def _target(self, module: Module, specifier: str) -> Module | None:
        path = self.resolve(module, specifier)
        return None if path is None else self.module(path)

    # From a specifier to a file

    def resolve(self, module: Module, specifier: str) -> str | None:
        """The path that an import's text means; None for packages."""
        key = (module.path, specifier)
        if key not in self._resolved:
            self._resolved[key] = self._find(module, specifier)
        return self._resolved[key]

    def _find(self, module: Module, specifier: str) -> str | None:
        folder = posixpath.dirname(module.path)
        if module.language == PYTHON:
            return self._python(folder, specifier)
        if module.language == DART:
            return self._dart(folder, specifier)
        if specifier.startswith("."):
            return self._first(posixpath.normpath(posixpath.join(folder, specifier)))
        if "/" not in specifier:
            return None
        # An alias such as `@/lib/x`, `~/lib/x` or `$lib/x`: the file whose path ends like that.
        tail = specifier.lstrip("@~#").removeprefix("/")
        return self._ending(tail.lstrip("$"), folder, (*_ENDINGS, *_INDEXES))

    def _first(self, base: str) -> str | None:
        for ending in (*_ENDINGS, *_INDEXES):
            if base + ending in self._paths:
                return base + ending
        stem, dot = posixpath.splitext(base)
        for ending in _RENAMED.get(dot, ()):
            if stem + ending in self._paths:
                return stem + ending
        return None

    def _python(self, folder: str, specifier: str) -> str | None:
        dots = len(specifier) - len(specifier.lstrip("."))
        tail = specifier[dots:].replace(".", "/")
        if not dots:
            return self._ending(tail, folder, _PYTHON)
        for _ in range(dots - 1):
            folder = posixpath.dirname(folder)
        base = posixpath.join(folder, tail) if tail else folder
        return next((base + end for end in _PYTHON if base + end in self._paths), None)

    def _dart(self, folder: str, specifier: str) -> str | None:
        if specifier.startswith("package:"):
            return self._ending("lib/" + specifier.partition("/")[2], folder, ("",))
        path = posixpath.normpath(posixpath.join(folder, specifier))
        return path if path in self._paths else None

    def _ending(self, tail: str, folder: str, endings: Iterable[str]) -> str | None:
        """The file whose path ends with the tail and is nearest to the folder."""
        found = [
            path
            for ending in endings
            for path in self._index.get(posixpath.basename(tail + ending), ())
            if path == tail + ending or path.endswith("/" + tail + ending)
        ]
        return max(found, key=lambda path: (_shared(path, folder), -len(path)), default=None)

    @property
    def _index(self) -> Mapping[str, list[str]]:
        if self._by_ending is None:
            self._by_ending = {}
            for path in sorted(self._paths):
                self._by_ending.setdefault(posixpath.basename(path), []).append(path)
        return self._by_ending


def word_of(module: Module) -> str:
    """What imports of the module end with."""
    folder, name = posixpath.split(posixpath.splitext(module.path)[0])
    return posixpath.basename(folder) if name in {"index", "__init__"} else name


def _shared(path: str, folder: str) -> int:
    """How many folders two paths have in common."""
    count = 0
    for a, b in zip(path.split("/"), folder.split("/"), strict=False):
        if a != b:
            break
        count += 1
    return count
