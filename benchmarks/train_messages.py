"""The cost of a mistake in `baton train` before its message: processor seconds, each command in its own process.

    python -m benchmarks.train_messages

The mistakes are those of `tests/training/mistakes.py`, whose messages a test reads; and the help of each task.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.result import Claim, parser, write
from tests.training.mistakes import MISTAKES
from training.architectures.registry import task_names

ROOT = Path(__file__).parents[1]
MOST_S = 1.5


def processor_s(folder: Path, flags: Sequence[str]) -> float:
    """User and system time of `baton train` in that folder."""
    before = os.times()
    command = [sys.executable, "-m", "baton", "train", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main(arguments: Sequence[str] | None = None) -> int:
    """Every command once, after one that fills the cache of compiled modules."""
    options = parser("train_messages", __doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        processor_s(root, ("--help",))
        helps = {f"help of {task}": (task, "--help") for task in task_names()}
        rows = [(about, processor_s(root, flags)) for about, flags in {"help": ("--help",), **helps}.items()]
        rows += [(one.about, processor_s(one.folder(root), one.flags)) for one in MISTAKES]
    most = max(seconds for _, seconds in rows)
    claim = Claim(
        text="processor time before the message or the help, at most",
        expected=f"< {MOST_S} s",
        actual=f"{most:.2f} s",
        kept=most < MOST_S,
    )
    return write(options.out, ("command", "processor s"), [(about, f"{s:.2f}") for about, s in rows], [claim])


if __name__ == "__main__":
    sys.exit(main())
