"""Where the programs are that these tests run, and the files that they look at."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
BOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))

Manifest = dict[str, Any]


def need(*names: str) -> str:
    """The first of these programs that is installed; without any the test skips, and in CI it fails."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(f"not installed: {' or '.join(names)}")
    return found


def missing(why: str) -> NoReturn:
    """Skip, saying why; in CI, where everything should be there, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def run(*command: str | Path, timeout_s: float = 120, **options: Any) -> str:
    """Standard output of a command that must succeed; its output if it does not."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        **{"cwd": ROOT, **options},
    )
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def project_version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def rules() -> list[Manifest]:
    """Every rule, recording and alerting."""
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def metric_names(expression: str) -> set[str]:
    """The server's own metrics that a PromQL expression reads, recorded ones not among them."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"(?<![\w:])baton_\w+(?![\w:])", bare))


def nested_values(value: Any) -> Iterator[Any]:
    """Every value inside nested dictionaries and lists."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from nested_values(each)
