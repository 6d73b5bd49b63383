"""training → inference ← serving: no other arrow, and no torch where answers are given."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "inference": {"inference"},
    "serving": {"serving", "inference"},
    "training": {"training", "inference"},
}
NEVER_IN_SERVING = ("torch", "lightning", "onnx", "sklearn", "matplotlib", "pandas")


def _imports(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_design_lets_it(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        ours = _imports(file) & MAY_IMPORT.keys()
        assert ours <= MAY_IMPORT[package], f"{file.relative_to(ROOT)} imports {ours - MAY_IMPORT[package]}"


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
