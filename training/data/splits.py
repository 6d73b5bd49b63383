"""Holding validation examples out of the training split: seeded, stratified, and written to the run.

The test split is never an argument here: nothing is selected on it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.errors import DataError, RunError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Holdout:
    """Row numbers of one data set, disjoint, each sorted."""

    train: Rows
    held: Rows


def stratified_holdout(labels: npt.ArrayLike, size: int, seed: int) -> Holdout:
    """Hold `size` rows out, each class by its share (largest remainders), at least one row of each class left.

    labels: int [rows]. The same labels, size and seed always give the same rows.
    """
    target = np.asarray(labels, dtype=np.int64)
    classes, counts = np.unique(target, return_counts=True)
    if not 0 < size <= len(target) - len(classes):
        raise DataError(
            f"cannot hold {size} of {len(target)} rows out and keep one of each class to train on"
        )
    quota = _quotas(counts, size)
    generator = np.random.default_rng([seed, len(target)])
    held = [
        generator.permutation(np.flatnonzero(target == label))[:take]
        for label, take in zip(classes, quota, strict=True)
    ]
    rows = np.sort(np.concatenate(held))
    return Holdout(train=np.setdiff1d(np.arange(len(target)), rows), held=rows)


LEAST_DIVIDED_ROWS = 1000
"""Of validation: below it, half of it would tell epochs apart badly, and give quantiles with large errors."""


def calibration_rows(labels: npt.ArrayLike, seed: int) -> Rows | None:
    """Half of validation, stratified: the rows that choose nothing, so that they are to the model as fresh ones are.

    labels: int [rows] of validation. None where it is too small to be divided, or has a class in nearly each row.
    """
    target = np.asarray(labels, dtype=np.int64)
    half = len(target) // 2
    if len(target) < LEAST_DIVIDED_ROWS or half > len(target) - len(np.unique(target)):
        return None
    return stratified_holdout(target, half, seed).held


def _quotas(counts: Rows, size: int) -> Rows:
    exact = counts * size / counts.sum()
    quota: Rows = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    while quota.sum() < size:
        room = np.where(quota < counts - 1, exact - quota, -np.inf)
        quota[int(np.argmax(room))] += 1
    return quota


def write_holdout(path: Path, holdout: Holdout, *, seed: int) -> None:
    """Record the split beside the run, or check it against the one recorded there."""
    record = {"seed": seed, "train_rows": len(holdout.train), "held_out": holdout.held.tolist()}
    if path.exists():
        if json.loads(path.read_text()) != record:
            raise RunError(f"{path}: the run was started with another split of these data; use a new --run")
        return
    path.write_text(json.dumps(record))
