"""What `test_resume` runs in a process of its own: fit an embedded set, and die after a given step."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from training.config import load_config
from training.fit.loop import Fit
from training.fit.train import fit, load_data
from training.run import open_run

# 20 steps an epoch each. Dropout, averaging and early stopping are on, and what a task draws by chance (mixing,
# hidden words, negatives), since each has state of its own that a resume could lose.
SHARED = (
    *("--epochs", "4", "--seed", "3", "--ema", "0.9", "--patience", "3", "--schedule", "one-cycle"),
    *("--threads", "1", "--no-progress"),
)
KEPT_EVERY_STEPS = 7
FLAGS = {
    "vision": (
        *("--data", "digits", "--arch", "cnn", "--batch-size", "64", "--crop", "1", "--mixup", "0.2"),
        *("--model", '{"widths": [8, 16]}'),
    ),
    "text": (
        *("--data", "tickets", "--arch", "textcnn", "--batch-size", "144", "--word-dropout", "0.1"),
        *("--model", '{"width": 8, "filters": 4}', "--learning-rate", "0.01"),
    ),
    "recommendation": (
        *("--data", "shop", "--arch", "neumf", "--batch-size", "540", "--negatives", "2"),
        *("--learning-rate", "0.01"),
    ),
}


def killer(at: int) -> Callable[[int], None]:
    """SIGKILL, which nobody can catch, when that many steps are done."""

    def callback(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return callback


def due(self: Fit) -> bool:
    """In the place of seconds, which no two machines count alike."""
    return self.state.step % KEPT_EVERY_STEPS == 0


def fit_embedded(task: str, root: Path, die_at: Sequence[int] = ()) -> None:
    Fit._is_due = due  # type: ignore[method-assign]
    config = load_config(task, [*FLAGS[task], *SHARED, "--run", str(root)])
    files = open_run(config)
    fit(config, files, load_data(config, files), callbacks=[killer(step) for step in die_at])
