"""The learning-rate finder: the loss over a rate that rises with every step (Smith 2017, arXiv:1506.01186).

The slope is taken over the rate's logarithm, as the plot shows it: over the rate itself the noise of the smallest
rates would win.
"""

from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.config import TrainConfig
from training.data.examples import Loader
from training.errors import RunError
from training.evaluate.figures import rate_curve
from training.fit.budget import settled
from training.fit.optim import make_optimizer
from training.fit.steps import LossModule, Steps
from training.fit.train import build_model, open_fabric, read_data
from training.run import RunFiles
from training.tasks.base import TaskData
from training.tasks.registry import find_task

Floats = npt.NDArray[np.float64]

RATES: Floats = np.geomspace(1e-6, 10.0, 140)
"""Twenty steps for each factor of ten."""

BEGINNING = 20
"""Steps at the beginning that are left out: the running mean is of few losses there."""

KEPT = 0.98
"""Of the running mean at each step."""

DIVERGED = 4.0
"""Times the lowest loss, at which the sweep ends."""

FEWEST = 3
"""Points that a slope needs."""

REACH = 5
"""Points on each side of one that its slope is taken over, half a factor of ten in all: neighbours differ by chance."""


@dataclass(frozen=True)
class RateFound:
    """The rate of the steepest descent, that of the lowest loss, and the plot of the sweep."""

    suggestion: float
    lowest_loss: float
    plot: Path


def find_rate(config: TrainConfig) -> RateFound:
    """Sweep the rate on the configured model and data; writes one plot into the run's directory, no more."""
    files, data = RunFiles(config.run_directory), read_data(config)
    config = settled(config, len(data.train))
    rates, losses = _sweep(config, data)
    usable = np.isfinite(losses)
    usable[:BEGINNING] = False
    rates, losses = rates[usable], losses[usable]
    suggestion, lowest = steepest(rates, losses)
    files.root.mkdir(parents=True, exist_ok=True)
    rate_curve(list(zip(rates, losses, strict=True)), suggestion, files.rates)
    return RateFound(suggestion, lowest, files.rates)


def _sweep(config: TrainConfig, data: TaskData[Any]) -> tuple[Floats, Floats]:
    """The rate of each step and the running mean of the loss, until that is `DIVERGED` times its lowest."""
    model = build_model(config, data).train()
    fabric = open_fabric(config.model_copy(update={"devices": 1}))
    loss_module = LossModule(model, find_task(config.task), config, data.facts)
    steps = Steps(fabric, loss_module, make_optimizer(model, config))
    loader = Loader(data.train, config.batch_size, seed=config.seed, training=True)
    batches = chain.from_iterable(loader.epoch(number) for number in count())
    losses: list[float] = []
    mean = 0.0
    for step, (rate, batch) in enumerate(zip(RATES, batches, strict=False)):
        for group in steps.optimizer.param_groups:
            group["lr"] = rate
        mean = KEPT * mean + (1 - KEPT) * steps.take(step, batch).item()
        losses.append(mean / (1 - KEPT ** (step + 1)))
        if not losses[-1] <= DIVERGED * min(losses):
            break
    return RATES[: len(losses)], np.array(losses)


def steepest(rates: Floats, losses: Floats) -> tuple[float, float]:
    """Rates float [steps], averaged losses float [steps] → the rate of the steepest descent, and of the lowest loss."""
    if len(rates) < FEWEST:
        raise RunError(
            f"the sweep has {len(rates)} finite losses, expected {FEWEST}; is the data set too small?"
        )
    lowest = int(losses.argmin())
    end = max(lowest + 1, FEWEST)
    logs, falling = np.log(rates[:end]), losses[:end]
    reach = min(REACH, (end - 1) // 2)
    slopes = (falling[2 * reach :] - falling[: -2 * reach]) / (logs[2 * reach :] - logs[: -2 * reach])
    return float(rates[int(slopes.argmin()) + reach]), float(rates[lowest])


def describe(found: RateFound) -> str:
    """The finding and the advice, for the terminal."""
    return (
        f"the loss falls fastest at a learning rate of {found.suggestion:.2g}, and is lowest at "
        f"{found.lowest_loss:.2g}: try --learning-rate {found.suggestion:.2g}\n{found.plot}"
    )
