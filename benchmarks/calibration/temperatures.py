"""The NLL of fresh rows by the temperature of few validation rows, over that without a temperature."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

from benchmarks.calibration.draws import Draw, Model, Rows
from training.evaluate.temperature import choose_temperature

DRAWS = 60
SIZES = (30, 54, 100, 200, 500, 1000)
"""Validation rows."""

FRESH_ROWS = 20_000
MOST_RATIO = 1.05

CALIBRATED = Model(classes=3, margin=7.5)
"""Right in 98.5 % of the rows."""

OVERCONFIDENT = Model(classes=3, margin=3.0, sharpness=3.0)

Fit = Callable[[Rows], float]


@dataclass(frozen=True)
class Ratios:
    """NLL of fresh rows over that at T = 1, by draw, and how many draws took another temperature."""

    worst: float
    median: float
    moved: int


def chosen(rows: Rows) -> float:
    """The temperature that a training would take."""
    return choose_temperature(torch.from_numpy(rows.logits), torch.from_numpy(rows.labels)).value


def ratios(model: Model, draw: Draw, rows: int, draws: int = DRAWS, fit: Fit = chosen) -> Ratios:
    """Over so many draws of validation, on one set of fresh rows."""
    generator = np.random.default_rng(rows)
    fresh = model(generator, FRESH_ROWS)
    alone = nll(fresh, 1.0)
    temperatures = [fit(draw(generator, rows)) for _ in range(draws)]
    found = [nll(fresh, temperature) / alone for temperature in temperatures]
    return Ratios(max(found), float(np.median(found)), sum(value != 1.0 for value in temperatures))


def nll(rows: Rows, temperature: float) -> float:
    """Nats a row."""
    logits = torch.from_numpy(rows.logits) / temperature
    return F.cross_entropy(logits, torch.from_numpy(rows.labels)).item()
