"""A step of the training loop beside the same step in a bare PyTorch loop, by turns in one run."""

import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.result import FOLDER, Claim, parser, shown, write
from serving.bench.figures import interval
from training.config import TrainConfig, load_config
from training.data.examples import Loader, restart, seeded
from training.fit.optim import make_optimizer, make_schedule
from training.fit.train import build_model, choose_precision, fit, load_data
from training.run import RunFiles
from training.tasks.base import TaskData
from training.tasks.registry import find_task

MOST_RATIO = 1.10
_WARM = 10  # steps on a GPU that do not count: kernels are chosen and memory is allocated in them


class StepClock:
    """Called after every step: the median between steps, or on a GPU, which runs behind, the mean of all."""

    def __init__(self, steps: int) -> None:
        self._ends: list[float] = []
        self._steps = steps

    def __call__(self, step: int) -> None:
        """A step is over."""
        if torch.cuda.is_available() and step in (_WARM, self._steps):
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter())

    def seconds(self) -> float:
        """Of a step."""
        if torch.cuda.is_available():
            return (self._ends[-1] - self._ends[_WARM - 1]) / (len(self._ends) - _WARM)
        return median(second - first for first, second in pairwise(self._ends))


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    cli = parser("train_loop", __doc__)
    cli.add_argument("task", help="vision, text or recommendation; other flags are those of `baton train`")
    cli.add_argument("--rounds", type=int, default=5)
    cli.set_defaults(out=None)
    given, rest = cli.parse_known_args()
    ours: list[float] = []
    both: list[tuple[float, float]] = []
    for turn in range(given.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            config = load_config(given.task, [*rest, "--run", scratch, "--no-progress", "--epochs", "1"])
            data = load_data(config, RunFiles(Path(scratch)))
            for side in (0, 1) if turn % 2 else (1, 0):
                if side:
                    ours.append(_ours(config, RunFiles(Path(scratch)), data))
                else:
                    both.append(_bare(config, data))
    bare, waiting = [step for step, _ in both], [wait for _, wait in both]
    share = interval([a / b for a, b in zip(ours, bare, strict=True)])
    rows = [
        ("Baton", shown(interval([1e3 * s for s in ours]), "{:.2f}")),
        ("bare loop", shown(interval([1e3 * s for s in bare]), "{:.2f}")),
        ("of that, making the batch", shown(interval([1e3 * s for s in waiting]), "{:.2f}")),
        ("ratio", shown(share, "{:.3f}")),
    ]
    claim = Claim(text="a step over that of the bare loop", expected=f"at most {MOST_RATIO}",
                  actual=f"{share.median:.3f}", kept=share.median <= MOST_RATIO)  # fmt: skip
    out = given.out or FOLDER / f"train_loop_{config.task}.json"
    return write(
        out, (f"{config.task}, {config.arch}, batch {config.batch_size}", "ms a step"), rows, [claim]
    )


def _ours(config: TrainConfig, files: RunFiles, data: TaskData[Any]) -> float:
    clock = StepClock(len(data.train) // config.batch_size)
    fit(config, files, data, [clock])
    return clock.seconds()


def _bare(config: TrainConfig, data: TaskData[Any]) -> tuple[float, float]:
    """Seconds of a step, and those until its batch was there."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    task, model = find_task(config.task), build_model(config, data).to(device)
    loader = Loader(data.train, config.batch_size, seed=config.seed, training=True)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, len(loader))
    mixed = choose_precision(config) == "bf16-mixed"
    clock = StepClock(len(loader))
    model.train()
    waited = []
    batches = iter(loader)
    for step in range(len(loader)):
        asked = time.perf_counter()
        batch = next(batches)
        waited.append(time.perf_counter() - asked)
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        restart(0, config.seed, step, 0, device=device)
        draws = seeded(1, config.seed, step, 0, device=device)
        changed = task.augment(batch, config, data.facts, draws)
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            loss = task.loss(model, changed, config, data.facts)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        schedule.step()
        clock(step + 1)
    return clock.seconds(), median(waited)


if __name__ == "__main__":
    sys.exit(main())
