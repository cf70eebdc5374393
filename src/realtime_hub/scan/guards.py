"""Branches that a caller's values rule out: `if (filter) channel.on(...) else channel.on(...)`."""

from __future__ import annotations

import re
from typing import Final

from realtime_hub.scan.bound import Env, Value
from realtime_hub.scan.syntax import Branch, Module, Name
from realtime_hub.scan.values import Values

_BARE: Final = re.compile(r"[(\s]*(?P<no>!|not\s)?\s*(?P<name>[A-Za-z_$][\w$]*)[)\s]*")


class Guards:
    """Knows which branches are taken, where the test is a variable, or its contrary."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def rule_out(self, module: Module, offset: int, env: Env) -> bool:
        """Whether what stands here is never reached with these values."""
        for fork in module.forks:
            for branch in fork.branches:
                here = branch.start <= offset < branch.end
                holds = self._holds(module, branch, env)
                if here and holds is False:
                    return True
                if here:
                    break
                if holds and any(b.start <= offset < b.end for b in fork.branches):
                    return True  # in an arm behind the one that is taken
        return False

    def _holds(self, module: Module, branch: Branch, env: Env) -> bool | None:
        start, end = branch.test
        found = _BARE.fullmatch(module.text[start:end])
        if found is None:
            return None
        at = start + found.start("name")
        name = Name(at, at + len(found["name"]), 0, found["name"])
        truth = self._values.truth(Value(name, module, env))
        return truth if truth is None or not found["no"] else not truth
