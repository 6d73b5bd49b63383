"""The rules and dashboards as text: checked by promtool, tested by promtool, and made from exported series."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.generate import generated
from tests.deploy.tools import BOARDS, ROOT, RULES, Manifest, metric_names, need, nested_values, rules, run

PROMETHEUS = ROOT / "deploy/prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs/runbooks.md"

# Exported only in a container that has limits, by the runs' exporter, for models that read words or items, or by
# several workers.
ELSEWHERE = re.compile(r"baton_cgroup_\w+|baton_run_\w+|baton_input_\w+|baton_workers?(_\w+)?")


def alerts() -> list[Manifest]:
    return [rule for rule in rules() if "alert" in rule]


def board_expressions() -> list[str]:
    content = [value for file in BOARDS for value in nested_values(json.loads(file.read_text()))]
    return [value["expr"] for value in content if isinstance(value, dict) and "expr" in value]


def test_promtool_finds_no_fault() -> None:
    promtool = need("promtool")
    run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.slow
@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_rules_do_what_their_tests_say(file: Path) -> None:
    run(need("promtool"), "test", "rules", file, timeout_s=300)


def test_every_alert_has_a_test_that_sees_it_quiet_and_firing() -> None:
    seen: dict[str, set[bool]] = {}
    for file in TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case.get("alert_rule_test", []):
                seen.setdefault(check["alertname"], set()).add(bool(check["exp_alerts"]))
    assert seen == {alert["alert"]: {True, False} for alert in alerts()}


def test_every_alert_has_a_section_in_the_runbooks() -> None:
    headings = set(re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE))
    names = {alert["alert"] for alert in alerts()}
    assert headings >= names
    assert not {heading for heading in headings if heading.startswith("Baton")} - names
    for alert in alerts():
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in ("page", "ticket")


@pytest.mark.slow
def test_rules_and_dashboards_read_what_is_exported(exported: set[str]) -> None:
    expressions = [rule["expr"] for rule in rules()] + board_expressions()
    read = {name for expression in expressions for name in metric_names(expression)}
    assert len(read) > 20
    assert {name for name in read if not ELSEWHERE.fullmatch(name)} <= exported


def test_recorded_series_that_are_read_are_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [rule["expr"] for rule in rules()] + board_expressions()
    read = {name for expression in expressions for name in re.findall(r"\b\w+:baton_\w+:\w+", expression)}
    assert read <= recorded


@pytest.mark.parametrize(("path", "content"), generated().items(), ids=[str(path) for path in generated()])
def test_generated_files_are_up_to_date(path: Path, content: str) -> None:
    assert (ROOT / path).read_text() == content, "run: python -m deploy.generate"


@pytest.mark.parametrize("file", BOARDS, ids=[file.stem for file in BOARDS])
def test_a_dashboard_says_nothing_that_grafana_does_not_know(file: Path) -> None:
    """What Grafana's own types do not hold is lost on the way through them, so nothing may be."""
    plugins.register_default_plugins()
    board: dict[str, Any] = json.loads(file.read_text())
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(board))) == board
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    sources = [
        value["datasource"]
        for value in nested_values(board["panels"])
        if isinstance(value, dict) and "datasource" in value
    ]
    assert sources
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
