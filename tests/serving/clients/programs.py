"""Clients that run as programs of their own: where they are, and how they are asked.

Clients in Python whose pinned packages are not the project's have environments of their own, which `.ci/clients`
makes: `BATON_CLIENTS` is the folder of them.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.deploy.tools import missing

SCRIPTS = Path(__file__).parent / "scripts"


def bin_of(environment: str) -> Path:
    """The folder of programs in an environment; without it the test skips, and in CI it fails."""
    named = os.environ.get("BATON_CLIENTS", "")
    if not named:
        missing("BATON_CLIENTS is not set: the folder of the environments that .ci/clients makes")
    found = Path(named) / environment / "bin"
    if not (found / "python").exists():
        missing(f"BATON_CLIENTS has no environment {environment}: {found / 'python'}")
    return found


def told_by(*command: str | Path, timeout_s: float = 120) -> Any:
    """What a client prints as JSON; it has to end well."""
    return json.loads(printed_by(*command, timeout_s=timeout_s))


def printed_by(*command: str | Path, timeout_s: float = 120) -> str:
    """Standard output of a client that has to end well; what it said where it does not."""
    # Byte code is kept in the client's environment whatever holds here: compiling it at every start takes seconds.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
