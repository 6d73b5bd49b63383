"""Licence, changelog, decisions, workflow, hooks and the weight of the repository say what is so."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import project_version, run

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "docs" / "decisions" / "README.md",
    *DECISIONS,
]
TOTAL_BYTES = 36 << 20
BIGGEST_BYTES = 12 << 20


def tracked() -> list[Path]:
    """Every file that git has, but for what a change has just deleted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_licence_is_the_one_that_pyproject_names() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'^license = "Apache-2.0"$', pyproject, flags=re.MULTILINE)
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_newest_version_in_the_changelog_is_the_projects() -> None:
    versions = re.findall(
        r"^## (\S+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE
    )
    assert versions[0][0] == project_version()
    dates = [date for _, date in versions]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    "manifest", sorted((ROOT / "k8s").rglob("*.yaml")), ids=lambda file: str(file.relative_to(ROOT))
)
def test_images_in_kubernetes_carry_the_projects_version(manifest: Path) -> None:
    tags = re.findall(r"(?:newTag: |image: baton[\w-]*:)(\d[\w.]*)", manifest.read_text())
    assert set(tags) <= {project_version()}


def test_the_index_of_decisions_names_each_record_and_its_title() -> None:
    assert len(DECISIONS) >= 5
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    named = re.findall(r"\[(\d{4})\]\(([\w-]+\.md)\)", index)
    assert [file for _, file in named] == [record.name for record in DECISIONS]
    assert all(file.startswith(number) for number, file in named)


@pytest.mark.parametrize("record", DECISIONS, ids=lambda record: record.stem)
def test_a_decision_has_its_parts(record: Path) -> None:
    text = record.read_text()
    assert text.startswith(f"# {record.name[:4]}: ")
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == [
        "Context",
        "Decision",
        "Cost",
        "Gain",
        "Evidence that would change it",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name}: {target} is not there"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target} has no such heading"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    found: dict[str, Any] = content["jobs"]
    return found


def test_the_workflow_is_what_github_allows() -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)


def test_the_workflow_runs_the_script_of_ci_and_pins_its_actions(jobs: dict[str, Any]) -> None:
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in [step.get("run") for step in jobs["everything"]["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.search(r"@v\d+\.\d+\.\d+$", action) for action in used), used


def test_the_workflow_tests_the_oldest_python_that_is_promised(jobs: dict[str, Any]) -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    assert jobs["everything"]["container"].startswith(f"python:{oldest[1]}.")


def test_hooks_run_every_part_of_make_check() -> None:
    hooks = yaml.safe_load(HOOKS.read_text())["repos"][0]["hooks"]
    entries = {hook["entry"].replace(" --force-exclude", "") for hook in hooks}
    recipe = re.search(r"^check: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert recipe
    commands = [line.strip().removesuffix(" .") for line in recipe[1].splitlines()]
    assert entries == {command.replace("$(BIN)", ".venv/bin") for command in commands}


def test_each_shipped_model_is_there_in_one_version() -> None:
    """A superseded bundle leaves the tree with the change that supersedes it."""
    bundles = {
        file.relative_to(ROOT).parts[1:3]
        for file in tracked()
        if file.parent.parent.parent == ROOT / "models"
    }
    names = [name for name, _ in bundles]
    assert sorted(names) == sorted(set(names)), sorted(bundles)


def test_the_repository_is_light() -> None:
    sizes = {file: file.stat().st_size for file in tracked()}
    assert sum(sizes.values()) < TOTAL_BYTES
    assert [file for file, size in sizes.items() if size > BIGGEST_BYTES] == []
