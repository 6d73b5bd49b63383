"""training → inference ← serving, and from wing to wing: no arrow runs back; no torch where answers are given."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import wings

ROOT = Path(__file__).parent.parent
NEVER_IN_SERVING = ("torch", "lightning", "onnx", "sklearn", "matplotlib", "pandas")


def _imports(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names}


def test_every_import_goes_down_from_wing_to_wing() -> None:
    assert wings.faults() == []


def test_the_manifest_and_the_processors_meet_in_the_configs_and_nowhere_else() -> None:
    found = {(entry.source, entry.target) for entry in wings.imports("inference")}
    assert ("inference.manifest", "inference.configs") in found
    assert not [pair for pair in found if "inference.manifest" in pair and ".processors" in "".join(pair)]
    assert ("inference.processors.image", "inference.configs") in found


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("serving/codec/request.py", "from serving.engine import registry", "above or beside"),
        ("serving/http/tls.py", "import serving.observe.logs", "above or beside"),
        ("serving/codec/request.py", "def f():\n    from serving.app import create_app", "above or beside"),
        ("training/data/splits.py", "from training.tasks.base import Task", "above or beside"),
        ("training/config.py", "import serving.settings", "must not know"),
        ("inference/errors.py", "from training.errors import ConfigError", "must not know"),
        ("inference/runtime/session.py", "from inference.store.bundle import Bundle", "above or beside"),
        ("inference/manifest.py", "from inference.processors.base import Processor", "above or beside"),
        ("serving/attic/old.py", "from serving.settings import Settings", "no floor"),
    ],
)
def test_an_import_that_runs_back_is_told_with_its_line(
    tmp_path: Path, module: str, line: str, said: str
) -> None:
    for file in wings.ROOT.glob("*/**/*.py"):
        if file.relative_to(wings.ROOT).parts[0] in wings.ORDER:
            (tmp_path / file.relative_to(wings.ROOT)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(wings.ROOT)).write_bytes(b"")
    (tmp_path / module).parent.mkdir(exist_ok=True)
    (tmp_path / module).write_text(line)
    (fault,) = wings.faults(tmp_path)
    assert fault.startswith(f"{module}:{line.count(chr(10)) + 1}: ")
    assert said in fault


def test_a_top_floor_that_fills_up_is_told(tmp_path: Path) -> None:
    for package in wings.ORDER:
        (tmp_path / package).mkdir()
    for number in range(9):
        (tmp_path / "serving" / f"more_{number}.py").write_text("")
    (fault,) = wings.faults(tmp_path)
    assert fault == "serving/: got 9 modules on the top floor, expected at most 8"


@pytest.mark.parametrize("package", ["inference", "serving"])
def test_serving_names_no_training_library_anywhere(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        assert not _imports(file) & set(NEVER_IN_SERVING), file.relative_to(ROOT)


@pytest.mark.slow
def test_every_module_of_serving_and_inference_imports_without_torch() -> None:
    modules = [
        file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for package in ("inference", "serving")
        for file in (ROOT / package).rglob("*.py")
    ]
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in NEVER_IN_SERVING)
    script = f"import importlib, sys\n{blocked}for name in {modules!r}: importlib.import_module(name)\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
