"""`python -m deploy.generate`: write the generated files of deploy/ and k8s/; a test says that they are up to date.

- deploy/grafana/dashboards/*.json, from `deploy.dashboards`
- k8s/components/monitoring/rules.yaml, the rule files of deploy/prometheus as the operator's PrometheusRule,
  so that an alert is written once
"""

import sys
from pathlib import Path

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy import dashboards

ROOT = Path(__file__).resolve().parent.parent
BOARDS = {"service": dashboards.service, "models": dashboards.models, "training": dashboards.training}


def generated() -> dict[Path, str]:
    """Every generated file, by its path below the root."""
    boards = {Path(f"deploy/grafana/dashboards/{name}.json"): _json(make()) for name, make in BOARDS.items()}
    return {**boards, Path("k8s/components/monitoring/rules.yaml"): _prometheus_rule()}


def _json(board: Dashboard) -> str:
    built = board.build()
    for place, panel in enumerate(built.panels or [], start=1):
        panel.id_val = place
    return JSONEncoder(sort_keys=True, indent=2).encode(built) + "\n"


def _prometheus_rule() -> str:
    groups = []
    for file in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml")):
        groups += yaml.safe_load(file.read_text())["groups"]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "baton"},
        "spec": {"groups": groups},
    }
    said = "# Made by `python -m deploy.generate` from deploy/prometheus/rules; edit those.\n"
    return said + yaml.safe_dump(rule, sort_keys=False, width=110)


def main() -> int:
    """Write every file; the exit status."""
    for path, content in generated().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
