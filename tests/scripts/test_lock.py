"""The locks of the images: every requirement of the project is met, and every package has its digests."""

import json
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from scripts.lock import ENVIRONMENTS, LOCKS, ROOT, main, missing_from, normal, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINUX: dict[str, str] = {"sys_platform": "linux", "python_version": "3.11"}


def requirements(extras: tuple[str, ...]) -> Iterator[Requirement]:
    """Of the project with these extras, and with those that they name."""
    lines = [*PROJECT["dependencies"], *(f"baton[{extra}]" for extra in extras)]
    while lines:
        requirement = Requirement(lines.pop())
        if requirement.name == "baton":
            lines += [
                line for extra in requirement.extras for line in PROJECT["optional-dependencies"][extra]
            ]
        elif requirement.marker is None or requirement.marker.evaluate({**LINUX}):
            yield requirement


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_meets_what_the_project_requires(name: str) -> None:
    extras, beside = ENVIRONMENTS[name]
    locked = pins((LOCKS / f"{name}.txt").read_text())
    asked = [*requirements(extras), *map(Requirement, beside)]
    assert len(asked) > 10
    faults = [str(each) for each in asked if not each.specifier.contains(locked[normal(each.name)][0])]
    assert faults == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_line_of_a_lock_is_a_package_with_its_digests(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    locked = pins(text)
    lines = [line for line in text.splitlines() if not line.startswith(" ")]
    assert len(locked) == len(lines)
    assert [package for package, (_, digests) in locked.items() if not digests] == []
    assert "://" not in text, "a registry's address belongs to the machine that asks it"
    # One for each processor, at least, of what is compiled.
    runtime = "onnxruntime" if name == "serving" else "onnxruntime-gpu"
    assert min(locked[package][1] for package in (runtime, "numpy", "orjson", "httptools")) > 2


def test_a_bill_of_materials_is_compared_by_name_and_version(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = "0" * 64
    lock = f"a-b==1.0 \\\n    --hash=sha256:{digest}\nc==2.0 \\\n    --hash=sha256:{digest}\n"
    assert pins(lock) == {"a-b": ("1.0", 1), "c": ("2.0", 1)}
    bill = json.dumps({"components": [{"name": "A_b", "version": "1.0"}, {"name": "c", "version": "2.1"}]})
    assert missing_from(bill, lock) == ["c==2.0"]
    file = tmp_path_factory.mktemp("bill") / "sbom.json"
    file.write_text(bill)
    assert main(["--sbom", str(file)]) == 1
    assert "numpy==" in capsys.readouterr().out
