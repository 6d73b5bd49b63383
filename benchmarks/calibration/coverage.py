"""The coverage of prediction sets on fresh rows, over draws of validation that is calibrated as in a training."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch

from benchmarks.calibration.draws import Draw, Rows, softmax
from inference.configs import Conformal
from inference.processors.prediction_sets import prediction_sets, within
from training.data.splits import calibration_rows
from training.evaluate.calibrate import Calibrated, calibrate
from training.evaluate.conformal import COVERAGES, By

SPLITS = 200
MOST_OFF = 0.01
MOST_BELOW_BY_CLASS = 0.03


@dataclass(frozen=True)
class Coverage:
    """Over all splits, at one level.

    found: mean share of fresh rows whose truth is within. lowest: of the class that has least, in its mean over splits.
    size: labels in a set. error: mean of the stated standard errors. off: share of splits that were farther from the
    level than twice the stated error and that of the fresh rows.
    """

    found: float
    lowest: float
    size: float
    error: float
    off: float


def measure(
    draw: Draw, validation: int, fresh: int, by: By = "all", splits: int = SPLITS
) -> dict[str, Coverage]:
    """By level; of each split, `validation` rows calibrate and `fresh` others are scored."""
    held: dict[str, list[np.ndarray]] = {str(level): [] for level in COVERAGES}
    sizes: dict[str, list[float]] = {level: [] for level in held}
    errors: dict[str, list[float]] = {level: [] for level in held}
    labels = []
    for found, temperature, rows in _splits(draw, validation, fresh, by, splits):
        probabilities, index = softmax(rows.logits / temperature), np.arange(len(rows))
        labels.append(rows.labels)
        for level in held:
            held[level].append(within(probabilities, found, level)[index, rows.labels])
            sizes[level].append(float(prediction_sets(probabilities, found, level).sum(axis=1).mean()))
            errors[level].append(found.standard_error[level])
    return {
        level: Coverage(
            found=float(np.mean([inside.mean() for inside in held[level]])),
            lowest=_lowest(held[level], labels),
            size=mean(sizes[level]),
            error=mean(errors[level]),
            off=_off(float(level), held[level], errors[level]),
        )
        for level in held
    }


def calibrated(rows: Rows, by: By) -> Calibrated:
    """As a training calibrates, whose epoch was chosen by the rows that are not set apart."""
    logits, labels = torch.from_numpy(rows.logits), torch.from_numpy(rows.labels)
    return calibrate(logits, labels, calibration_rows(rows.labels, 0), by)


def _splits(
    draw: Draw, validation: int, fresh: int, by: By, splits: int
) -> Iterator[tuple[Conformal, float, Rows]]:
    generator = np.random.default_rng(validation)
    for _ in range(splits):
        rows = draw(generator, validation + fresh)
        found = calibrated(rows.take(np.arange(validation)), by)
        if found.conformal is None:
            raise ValueError(f"validation: got {validation} rows, expected enough for a coverage")
        yield found.conformal, found.temperature, rows.take(np.arange(validation, len(rows)))


def _lowest(held: list[np.ndarray], labels: list[np.ndarray]) -> float:
    classes = range(max(int(truths.max()) for truths in labels) + 1)
    means = [
        np.mean(
            [
                inside[truths == k].mean()
                for inside, truths in zip(held, labels, strict=True)
                if (truths == k).any()
            ]
        )
        for k in classes
    ]
    return float(min(means))


def _off(level: float, held: list[np.ndarray], errors: list[float]) -> float:
    """About a twentieth, where errors are as stated."""
    far = [
        abs(inside.mean() - level) > 2 * np.hypot(error, np.sqrt(level * (1 - level) / len(inside)))
        for inside, error in zip(held, errors, strict=True)
    ]
    return float(np.mean(far))
