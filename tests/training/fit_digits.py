"""What `test_resume` runs in a process of its own: fit the digits, and die after a given step."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from training.config import load_config
from training.run import open_run
from training.train import fit, load_data

# 1,294 training digits in batches of 64: 20 steps an epoch, 80 in all. Dropout, mixing, averaging and early
# stopping are on, since each has state of its own that a resume could lose.
FLAGS = (
    *("--data", "digits", "--arch", "cnn", "--epochs", "4", "--batch-size", "64", "--seed", "3"),
    *("--crop", "1", "--mixup", "0.2", "--ema", "0.9", "--patience", "3", "--schedule", "one-cycle"),
    *("--model", '{"widths": [8, 16]}', "--checkpoint-every-steps", "7", "--threads", "1", "--no-progress"),
)


class Killer(pl.Callback):
    """SIGKILL, which nobody can catch, when that many steps are done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def fit_digits(root: Path, die_at: Sequence[int] = ()) -> None:
    config = load_config("vision", [*FLAGS, "--run", str(root)])
    files = open_run(config)
    fit(config, files, load_data(config, files), extra=[Killer(step) for step in die_at])
