"""The learning-rate finder: the loss over a rate that rises with every step (Smith 2017, arXiv:1506.01186).

Lightning's tuner makes the sweep. Its own suggestion is the steepest slope over the rate itself, where the
noise of the smallest rates wins; here the slope is taken over the rate's logarithm, as the picture shows it.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
from lightning.pytorch.tuner.tuning import Tuner

from training.config import TrainConfig
from training.data.examples import Loader
from training.errors import RunError
from training.figures import rate_curve
from training.module import TrainingModule
from training.run import RunFiles
from training.tasks.registry import find_task
from training.train import build_model, choose_precision, read_data, silence_lightning

Floats = npt.NDArray[np.float64]

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 140
"""Twenty steps for each factor of ten."""

BEGINNING = 20
"""Steps at the beginning that are left out: the tuner's running mean starts too low."""

FEWEST = 3
"""Points that a slope needs."""


@dataclass(frozen=True)
class RateFound:
    """The rate of the steepest descent, that of the lowest loss, and the picture of the sweep."""

    suggestion: float
    lowest_loss: float
    picture: Path


def find_rate(config: TrainConfig) -> RateFound:
    """Sweep the rate on the configured model and data; writes one picture into the run's directory, no more."""
    files, data = RunFiles(config.run_directory), read_data(config)
    module = TrainingModule(build_model(config, data), find_task(config.task), config, data)
    loader = Loader(data.train, config.batch_size, seed=config.seed, training=True)
    files.root.mkdir(parents=True, exist_ok=True)
    trainer = pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=choose_precision(config),
        max_epochs=-1,
        gradient_clip_val=config.gradient_clip or None,
        default_root_dir=files.root,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        silence_lightning()
        found = Tuner(trainer).lr_find(
            module, loader, min_lr=LOWEST, max_lr=HIGHEST, num_training=STEPS, update_attr=False
        )
    results = found.results if found else {"lr": [], "loss": []}
    rates, losses = np.array(results["lr"]), np.array(results["loss"])
    usable = np.isfinite(losses)
    usable[:BEGINNING] = False
    rates, losses = rates[usable], losses[usable]
    suggestion, lowest = steepest(rates, losses)
    rate_curve(list(zip(rates, losses, strict=True)), suggestion, files.rates)
    return RateFound(suggestion, lowest, files.rates)


def steepest(rates: Floats, losses: Floats) -> tuple[float, float]:
    """Rates float [steps], averaged losses float [steps] → the rate of the steepest descent, and of the lowest loss."""
    if len(rates) < FEWEST:
        raise RunError(
            f"the sweep has {len(rates)} finite losses, wanted {FEWEST}; is the data set too small?"
        )
    lowest = int(losses.argmin())
    falling = slice(0, max(lowest + 1, 2))
    slopes = np.gradient(losses[falling], np.log(rates[falling]))
    return float(rates[int(slopes.argmin())]), float(rates[lowest])


def describe(found: RateFound) -> str:
    """What to do with it."""
    return (
        f"the loss falls fastest at a learning rate of {found.suggestion:.2g}, and is lowest at "
        f"{found.lowest_loss:.2g}: try --learning-rate {found.suggestion:.2g}\n{found.picture}"
    )
