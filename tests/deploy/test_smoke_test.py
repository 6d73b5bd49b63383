"""The operator's walk, as the documentation tells it."""

import sys

from tests.deploy.tools import ROOT, run


def test_every_step_of_the_walk_shows_what_it_should() -> None:
    told = run(sys.executable, ROOT / "scripts/walk.py", timeout_s=300)
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
