"""Branches that a caller's values rule out: `if (filter) channel.on(...) else channel.on(...)`."""

from __future__ import annotations

from realtime_hub.scan.bound import Env, Value
from realtime_hub.scan.syntax import Branch, Module
from realtime_hub.scan.values import Values


class Guards:
    """Knows which branches are taken."""

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
        """Whether a caller's values decide it. What is so for all callers, such as a flag that
        is off, may be set where the source does not show it."""
        if branch.condition is None:
            return None
        always = self._values.truth(Value(branch.condition, module))
        return self._values.truth(Value(branch.condition, module, env)) if always is None else None
