"""`python -m scripts.lock`: write the locks that images are built from; `make lock` brings `uv`, which resolves them.

A lock names every package of an environment on Linux with one version and the digests of its files, those for other
processors too. `--sbom FILE` compares a bill of materials in CycloneDX's JSON with the server's lock.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "deploy" / "locks"

PYTHON = "3.11"
"""Of the images."""

ENVIRONMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "serving": (("serving", "signing", "tracing"), ()),
    "serving-cuda": (("serving-cuda", "signing", "tracing"), ("onnxruntime-gpu[cuda,cudnn]",)),
}
"""By the name of the image: extras of `pyproject.toml`, and requirements beside them."""

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)


def pins(text: str) -> dict[str, tuple[str, int]]:
    """The version of each package of a lock, by its normalised name, and how many digests it has."""
    return {normal(name): (version, hashes.count("--hash=")) for name, version, hashes in _PIN.findall(text)}


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing_from(bill: str, lock: str) -> list[str]:
    """The packages of a lock that a bill of materials has not, or has in another version."""
    listed = {normal(each["name"]): each.get("version") for each in json.loads(bill).get("components", ())}
    return [f"{name}=={version}" for name, (version, _) in pins(lock).items() if listed.get(name) != version]


def find_uv() -> str | None:
    """The command that resolves packages, beside this Python or on the path."""
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


def write(name: str, uv: str) -> None:
    """Resolve one environment anew, to the newest versions that `pyproject.toml` lets in."""
    extras, beside = ENVIRONMENTS[name]
    command = [uv, "pip", "compile", "pyproject.toml", "-", "--python-platform", "linux"]
    command += [part for extra in extras for part in ("--extra", extra)]
    command += [
        "--python-version",
        PYTHON,
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--quiet",
    ]
    command += ["--no-emit-package", "baton", "--upgrade", "--output-file", str(LOCKS / f"{name}.txt")]
    subprocess.run(command, cwd=ROOT, check=True, input="\n".join(beside), text=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every lock, or compare a bill with the server's."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m scripts.lock")
    parser.add_argument("--sbom", type=Path, help="a bill of materials to compare, instead of writing")
    options = parser.parse_args(arguments)
    if options.sbom is not None:
        lost = missing_from(options.sbom.read_text(), (LOCKS / f"{next(iter(ENVIRONMENTS))}.txt").read_text())
        print("\n".join(lost) or "the bill has every package of the lock")
        return int(bool(lost))
    uv = find_uv()
    if uv is None:
        print("uv: not found, expected the command that resolves locks: try `make lock`", file=sys.stderr)
        return 2
    for name in ENVIRONMENTS:
        write(name, uv)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
