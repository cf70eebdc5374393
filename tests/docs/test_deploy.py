"""What stands under deploy/ is well-formed, and asks for metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT, families, name_of

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
METRIC = re.compile(r"\brealtime_hub_\w+")


def known() -> set[str]:
    names = {name_of(family) for family in families()}
    histograms = {family.name for family in families() if family.type == "histogram"}
    return names | {f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")}


def rules() -> list[dict[str, str]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, str]] = group["rules"]
    return found


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in rules())]


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(asked) > 20
    assert asked <= known()


def test_brackets_of_expressions_are_balanced() -> None:
    for expression in expressions():
        bare = re.sub(r'"[^"]*"', "", expression)
        depth: list[str] = []
        for character in bare:
            if character in "([{":
                depth.append({"(": ")", "[": "]", "{": "}"}[character])
            elif character in ")]}":
                assert depth.pop() == character, expression
        assert depth == [], expression


def test_every_alert_says_what_it_is_and_how_bad() -> None:
    for rule in rules():
        assert rule["alert"].startswith("RealtimeHub")
        assert rule["labels"]["severity"] in ("warning", "critical")  # type: ignore[index]
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(ALERTS))


@needs_promtool
def test_each_alert_fires_when_it_should_and_stays_silent_when_all_is_well() -> None:
    cases = Path(__file__).parent / "alerts.test.yml"
    tried = yaml.safe_load(cases.read_text())["tests"]
    fired = {e["alertname"] for case in tried for e in case["alert_rule_test"] if "exp_alerts" in e}
    assert fired == {rule["alert"] for rule in rules()}
    promtool("test", "rules", str(cases))


def test_the_image_runs_as_an_ordinary_user_and_copies_what_exists() -> None:
    lines = [line.split() for line in Path(DEPLOY / "Containerfile").read_text().splitlines()]
    words = [line[0] for line in lines if line]
    assert words.count("FROM") == 2
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert {"HEALTHCHECK", "EXPOSE", "VOLUME"} <= set(words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    unit = tmp_path / "realtime-hub.service"
    text = (DEPLOY / "systemd" / "realtime-hub.service").read_text()
    unit.write_text(text.replace("/opt/realtime-hub/bin/realtime-hub", "/bin/true"))
    for check in (["verify"], ["security", "--offline=yes", "--threshold=20"]):
        command = ["systemd-analyze", *check, str(unit)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
