"""The smoke test takes every step of the documentation."""

import subprocess
import sys

import pytest

from tests.deploy.tools import ROOT, run


@pytest.mark.slow
def test_every_step_of_the_smoke_test_passes() -> None:
    told = run(sys.executable, ROOT / "scripts/smoke_test.py", timeout_s=300)
    steps = [line.split(":")[0] for line in told.splitlines() if line and not line.startswith(" ")]
    assert steps == [
        "up",
        "load",
        "canary",
        "promote",
        "refuse",
        "roll back",
        "scale",
        "drain",
        "all steps done",
    ]


def test_the_former_name_still_works_and_says_the_new_one() -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "scripts/walk.py", "--models", "nowhere", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "scripts/walk.py is deprecated: use scripts/smoke_test.py" in told.stderr
    assert "--models" in told.stdout
