"""`python -m scripts.ranges lowest|newest`: the server's quick tests at one end of the declared ranges of versions.

It makes an environment of its own in a temporary folder, with `uv`. Warnings are no errors there: old packages warn of
what was still to come when they were made.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.lock import ENVIRONMENTS, PYTHON, ROOT, find_uv

ENDS = {"lowest": "lowest-direct", "newest": "highest"}
"""By their names here, how `uv` calls them; at the lowest end other packages' own requirements stay at their newest."""

TOOLS = (
    "httpx", "hypothesis", "onnx", "packaging", "pytest", "pytest-xdist", "pyyaml", "schemathesis",
    "scikit-learn", "tritonclient[http]",
)  # fmt: skip
"""Of the tests, and no part of the ranges."""

TESTS = ("tests/inference", "tests/serving")


def commands(end: str, uv: str, folder: Path, options: Sequence[str]) -> list[list[str]]:
    """What is run, in this order; `options` are pytest's."""
    python, chosen = str(folder / "env" / "bin" / "python"), str(folder / "chosen.txt")
    install = [uv, "pip", "install", "--quiet", "--python", python]
    extras = [part for extra in ENVIRONMENTS["serving"][0] for part in ("--extra", extra)]
    return [
        [
            uv, "pip", "compile", "pyproject.toml", *extras, "--quiet",
            "--resolution", ENDS[end], "--python-version", PYTHON, "--no-emit-package", "baton", "-o", chosen,
        ],
        [uv, "venv", "--quiet", "--python", PYTHON, str(folder / "env")],
        [*install, "-r", chosen],
        [*install, "-c", chosen, *TOOLS],
        [
            python, "-m", "pytest", "-q", "-m", "not slow", "-o", "filterwarnings=default", "-n", "auto",
            "-p", "no:cacheprovider", *TESTS, *options,
        ],
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the environment and run the tests; the status of the first command that fails."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m scripts.ranges")
    parser.add_argument("end", choices=ENDS)
    parser.add_argument("options", nargs="*", help="for pytest, behind --")
    asked = parser.parse_args(arguments)
    uv = find_uv()
    if uv is None:
        print("uv: not found, expected the command that resolves packages: pip install uv", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        for command in commands(asked.end, uv, Path(folder), asked.options):
            status = subprocess.run(command, cwd=ROOT, check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
