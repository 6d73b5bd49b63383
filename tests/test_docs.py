"""README says what is: its calls answer what it prints, its settings are all of them, its map is the tree."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.manifest import Manifest
from scripts import wings
from serving.settings import Settings
from tests.serving.servers import ThreadedServer, start
from training.config import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ (curl .*?)\n(\{.*?)```", README, flags=re.DOTALL)
UNSEEN = {".gitignore", ".dockerignore", ".pre-commit-config.yaml", ".ci/", ".github/"}
"""Hidden files, which a listing of the folder leaves out."""
SCRIPTS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedServer]:
    with start(models=ROOT / "models") as running:
        yield running


def test_the_readme_shows_three_calls() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=[command[:60] for command, _ in EXAMPLES])
def test_a_call_in_the_readme_answers_what_the_readme_prints(
    server: ThreadedServer, command: str, printed: str
) -> None:
    joined = command.replace("\\\n", " ").replace("localhost:8000", server.url.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-c", joined], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert _close(json.loads(done.stdout), json.loads(printed)), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_in_the_readme_runs(server: ThreadedServer, script: str) -> None:
    asked = script.replace("localhost:8000", server.url.removeprefix("http://"))
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _close(seen: Any, expected: Any) -> bool:
    """Equal, with numbers as equal as the digits that an answer has: float32 differs in the last by machine."""
    if isinstance(expected, dict):
        return (
            isinstance(seen, dict)
            and list(seen) == list(expected)
            and all(_close(seen[k], expected[k]) for k in expected)
        )
    if isinstance(expected, list):
        return len(seen) == len(expected) and all(map(_close, seen, expected))
    if isinstance(expected, float):
        return bool(seen == pytest.approx(expected, abs=2e-4))
    return bool(seen == expected)


def settings_table() -> str:
    """The settings as README prints them: made from their declarations."""
    lines = ["| flag | variable | default | what it is |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        flag, variable = f"`--{name.replace('_', '-')}`", f"`BATON_{name.upper()}`"
        lines.append(f"| {flag} | {variable} | {default} | {field.description} |")
    return "\n".join(lines)


def test_the_table_of_settings_in_the_readme_is_made_from_the_settings() -> None:
    assert settings_table() in README, f"put this table into README.md:\n{settings_table()}"


def shipped_table() -> str:
    """The shipped models as README prints them: made from their manifests."""
    lines = ["| model | task | architecture | data | on the test split |", "|---|---|---|---|---|"]
    for file in sorted((ROOT / "models").glob("*/*/manifest.json")):
        manifest = Manifest.model_validate_json(file.read_bytes())
        evaluation, data = manifest.graphs[manifest.serve].evaluation, manifest.data
        assert evaluation is not None
        assert data is not None
        metric = "accuracy" if "accuracy" in evaluation.metrics else "ndcg@10"
        figure = f"{metric} {evaluation.metrics[metric]:.4f} on {evaluation.rows:,} rows"
        card = f"[{manifest.name}](models/{manifest.name}/{manifest.version}/card.md)"
        lines.append(f"| {card} | {manifest.task} | {manifest.architecture} | {data.name} | {figure} |")
    return "\n".join(lines)


def test_the_table_of_models_in_the_readme_is_made_from_their_manifests() -> None:
    assert shipped_table() in README, f"put this table into README.md:\n{shipped_table()}"


def wing_folders() -> set[str]:
    """Each wing that is a folder, such as `serving/http`."""
    return {
        f"{package}/{wing}"
        for package, floors in wings.ORDER.items()
        for wing in itertools.chain(*floors)
        if (ROOT / package / wing).is_dir()
    }


def test_the_map_in_the_readme_names_what_is_there() -> None:
    drawn = re.search(r"```text\n(.*?)```", README, flags=re.DOTALL)
    assert drawn, "README.md has no map of the tree"
    named = {line.split()[0] for line in drawn[1].splitlines() if line and not line.startswith(" ")}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    top = {f"{path.split('/')[0]}/" if "/" in path else path for path in tracked} - UNSEEN
    assert named == top


def test_the_folders_in_the_map_are_those_of_the_packages() -> None:
    drawn = re.search(r"```text\n(.*?)```", README, flags=re.DOTALL)
    assert drawn
    named, package = set(), ""
    for line in drawn[1].splitlines():
        names = re.findall(r"(\w+)/", line[:20])
        if line.startswith(" "):
            named |= {f"{package}/{name}" for name in names}
        elif names:
            package = names[0]
    assert named == wing_folders()


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_link_in_the_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.slow
def test_no_training_in_the_readme_stands_in_the_way_of_another() -> None:
    """Two of one name, architecture and seed would share a run's directory, and the second be refused."""
    commands = re.findall(r"baton train (\w+) ((?:[^\n]*\\\n)*[^\n]*)", README)
    configs = [
        load_config(task, shlex.split(flags.replace("\\\n", " "), comments=True))
        for task, flags in commands
        if flags.startswith("--data")
    ]
    assert len(configs) > 8
    runs = [config.run_directory for config in configs]
    assert len(set(runs)) == len(runs), runs


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\| ([^|]+\?) \| (.+) \|$", ARCHITECTURE, flags=re.MULTILINE)
"""The rows of the table of questions: the question, and where its answer is."""


def test_the_architecture_answers_ten_questions_of_a_newcomer() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize(("question", "where"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_an_answer_names_at_most_three_files_that_are_there_and_have_its_names(
    question: str, where: str
) -> None:
    quoted = re.findall(r"`([^`]+)`", where)
    files = [ROOT / name for name in quoted if "/" in name]
    assert 1 <= len(files) <= 3, question
    assert [file for file in files if not file.is_file()] == []
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    parts = {part for name in quoted if "/" not in name for part in name.split(".")}
    assert {part for part in parts if not re.search(rf"(?:def|class) {part}\b", code)} == set()


def test_the_architecture_has_a_line_on_each_folder_of_the_packages() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \|$", ARCHITECTURE, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert {name for name in named if name.count("/") == 1} == wing_folders()
