"""How far a calibration error can be believed: its bootstrap interval, and the error that noise alone makes."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from inference.values import Array
from training.evaluate.metrics import ECE_BINS

RESAMPLES = 500
LEVEL = 0.95


class ErrorInterval(NamedTuple):
    """Of an expected calibration error.

    noise: its mean where answers are right exactly as often as their confidence says, on as many rows.
    """

    low: float
    high: float
    noise: float


def interval(probabilities: Tensor, labels: Tensor) -> ErrorInterval:
    """The 95 % interval over draws of the rows; float [rows, classes], int64 [rows].

    Every resample adds the noise of its own draw to an error that is a sum of absolute values, so its mean lies above
    the error. The basic bootstrap (Davison & Hinkley 1997, section 5.2) reflects it, and takes that noise away. The
    interval begins at 0 where a calibrated model may show such an error.
    """
    confidence, guess = (found.numpy() for found in probabilities.double().max(1))
    gaps = confidence - (guess == labels.numpy())
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    generator, rows = np.random.default_rng(0), len(gaps)
    error = _error(gaps, bins)
    draws = (generator.integers(0, rows, rows) for _ in range(RESAMPLES))
    resampled = [_error(gaps[draw], bins[draw]) for draw in draws]
    noise = [_error(confidence - (generator.random(rows) < confidence), bins) for _ in range(RESAMPLES)]
    tail = (1 - LEVEL) / 2
    low, high = (max(0.0, 2 * error - float(np.quantile(resampled, share))) for share in (1 - tail, tail))
    if error <= np.quantile(noise, 1 - tail):
        low = 0.0
    return ErrorInterval(low, min(1.0, max(high, low)), float(np.mean(noise)))


def _error(gaps: Array, bins: Array) -> float:
    return float(np.abs(np.bincount(bins, gaps, ECE_BINS)).sum()) / len(gaps)
