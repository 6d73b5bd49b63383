"""Drift of confidence: how often windows without drift alarm, and whether a fall is told in the first window."""

import numpy as np

from benchmarks.calibration.temperatures import DRAWS
from inference.store.reference import Histogram
from inference.values import Array
from serving.engine.drift import FALSE_ALARM_RATE, compare

WINDOWS = 5000
WINDOW_ROWS = 1000
"""As `--drift-window-rows`."""

REFERENCE_ROWS = (320, 1000, 5000)
FALLEN = 0.7
"""The mean confidence after a fall from 0.99."""

SHAPES = ("always 1", "nearly always 1", "near 1", "at most 0.995")


def confidences(shape: str, generator: np.random.Generator, rows: int) -> Array:
    """Float32 [rows] with a mean of about 0.99."""
    if shape == "always 1":
        found = np.ones(rows)
    elif shape == "nearly always 1":
        found = np.where(generator.random(rows) < 0.95, 1.0, generator.uniform(0.6, 1.0, rows))
    elif shape == "near 1":
        found = generator.beta(50, 0.5, rows)
    else:
        found = 0.995 * generator.beta(200, 1, rows)
    return found.astype(np.float32)


def fallen(generator: np.random.Generator, rows: int) -> Array:
    """Float32 [rows] with a mean of 0.7."""
    return (0.4 + 0.6 * generator.beta(2, 2, rows)).astype(np.float32)


def false_alarms(shape: str, reference_rows: int, windows: int = WINDOWS) -> int:
    """Windows in alarm; each has a reference of its own, since few rows of one make its bounds uncertain."""
    generator, alarms = np.random.default_rng(reference_rows), 0
    for _ in range(windows):
        reference = Histogram.of(confidences(shape, generator, reference_rows))
        alarms += _alarm(reference, confidences(shape, generator, WINDOW_ROWS))
    return alarms


def seen(shape: str, reference_rows: int, draws: int = DRAWS) -> int:
    """Of so many falls, those in alarm in their first window."""
    generator, alarms = np.random.default_rng(reference_rows), 0
    for _ in range(draws):
        reference = Histogram.of(confidences(shape, generator, reference_rows))
        alarms += _alarm(reference, fallen(generator, WINDOW_ROWS))
    return alarms


def _alarm(reference: Histogram, values: Array) -> bool:
    counts = np.bincount(np.searchsorted(reference.bounds, values), minlength=len(reference.counts))
    return compare(reference, counts.tolist(), FALSE_ALARM_RATE).alarm
