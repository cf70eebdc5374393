"""The console's audit: what `doctor` calls a failure, then the rules of `realtime-hub audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from realtime_hub.changes import TableName
from realtime_hub.ops import doctor
from realtime_hub.ops.audit.gathering import gather
from realtime_hub.ops.audit.rules import judge


async def audit(
    dsn: str, publication: str, slot: str, listeners: Mapping[TableName, int]
) -> list[dict[str, Any]]:
    """Findings, worst first. listeners: by table, of this gateway.

    Raises:
        DatabaseUnreachableError, SettingsError
    """
    facts = replace(await gather(dsn, publication), listeners=dict(listeners))
    found = [
        _finding(each.level.value, each.rule, f"{each.title}: {each.object}", each.remediation)
        | {"detail": each.detail}
        for each in sorted(judge(facts), key=lambda finding: -finding.level.weight)
    ]
    checks = await doctor.examine(dsn, publication, slot)
    lacking = [
        _finding(check.status.value, check.name, check.text, check.remedy)
        for check in checks
        if check.status is doctor.Status.FAILURE
    ]
    return [*lacking, *found]


def _finding(level: str, rule: str, text: str, remedy: str) -> dict[str, Any]:
    return {"level": level, "rule": rule, "text": text, "detail": "", "remedy": remedy}
