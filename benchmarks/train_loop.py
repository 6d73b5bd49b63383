"""A training step through Lightning beside the same step in a bare PyTorch loop, by turns in one run."""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import torch

from benchmarks.result import FOLDER, Claim, parser, shown, write
from serving.bench.figures import interval
from training.config import TrainConfig, load_config
from training.data.examples import Loader, restart, seeded
from training.optim import make_optimizer, make_schedule
from training.run import RunFiles
from training.tasks.base import TaskData
from training.tasks.registry import find_task
from training.train import build_model, choose_precision, fit, load_data

WANTED = 1.10


class StepClock(pl.Callback):
    """Seconds from one training batch's end to the next one's."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation lies before it, so the first step of an epoch does not count."""
        self._last = None

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """A step is over."""
        now = time.perf_counter()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    made = parser("train_loop", __doc__)
    made.add_argument("task", help="vision, text or recommendation; more flags are those of `baton train`")
    made.add_argument("--rounds", type=int, default=5)
    made.set_defaults(out=None)
    given, rest = made.parse_known_args()
    ours: list[float] = []
    bare: list[float] = []
    for turn in range(given.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            config = load_config(given.task, [*rest, "--run", scratch, "--no-progress", "--epochs", "1"])
            data = load_data(config, RunFiles(Path(scratch)))
            for side in (0, 1) if turn % 2 else (1, 0):
                if side:
                    ours.append(_lightning(config, RunFiles(Path(scratch)), data))
                else:
                    bare.append(_bare(config, data))
    share = interval([a / b for a, b in zip(ours, bare, strict=True)])
    rows = [
        ("Lightning", shown(interval([1e3 * s for s in ours]), "{:.2f}")),
        ("bare loop", shown(interval([1e3 * s for s in bare]), "{:.2f}")),
        ("ratio", shown(share, "{:.3f}")),
    ]
    claim = Claim(text="a step over that of the bare loop", wanted=f"at most {WANTED}",
                  seen=f"{share.median:.3f}", kept=share.median <= WANTED)  # fmt: skip
    out = given.out or FOLDER / f"train_loop_{config.task}.json"
    return write(
        out, (f"{config.task}, {config.arch}, batch {config.batch_size}", "ms a step"), rows, [claim]
    )


def _lightning(config: TrainConfig, files: RunFiles, data: TaskData[Any]) -> float:
    watch = StepClock()
    fit(config, files, data, [watch])
    return median(watch.seconds)


def _bare(config: TrainConfig, data: TaskData[Any]) -> float:
    task, model = find_task(config.task), build_model(config, data)
    loader = Loader(data.train, config.batch_size, seed=config.seed, training=True, rank=0, world=1)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, len(loader))
    mixed = choose_precision(config) == "bf16-mixed"
    seconds: list[float] = []
    last: float | None = None
    model.train()
    for step, batch in enumerate(loader):
        restart(0, config.seed, step, 0)
        changed = task.augment(batch, config, data.facts, seeded(1, config.seed, step, 0))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = task.loss(model, changed, config, data.facts)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        schedule.step()
        now = time.perf_counter()
        if last is not None:
            seconds.append(now - last)
        last = now
    return median(seconds)


if __name__ == "__main__":
    sys.exit(main())
