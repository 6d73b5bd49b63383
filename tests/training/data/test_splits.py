"""The validation split: seeded, stratified, disjoint, and the same when a run goes on."""

from pathlib import Path

import numpy as np
import pytest

from training.data.splits import LEAST_DIVIDED_ROWS, calibration_rows, stratified_holdout, write_holdout
from training.errors import DataError, RunError

LABELS = np.repeat([0, 1, 2], [500, 300, 7])


def test_split_is_disjoint_and_complete() -> None:
    split = stratified_holdout(LABELS, 80, seed=1)
    assert len(split.held) == 80
    assert sorted([*split.train, *split.held]) == list(range(len(LABELS)))


def test_split_keeps_the_share_of_each_class_and_never_takes_all_of_one() -> None:
    counts = np.bincount(LABELS[stratified_holdout(LABELS, 80, seed=1).held], minlength=3)
    assert np.abs(counts - 80 * np.array([500, 300, 7]) / 807).max() < 1
    most = stratified_holdout(LABELS, 804, seed=1)
    assert np.bincount(LABELS[most.train]).tolist() == [1, 1, 1]


def test_half_of_a_large_validation_calibrates_and_none_of_a_small_one() -> None:
    labels = np.arange(LEAST_DIVIDED_ROWS) % 7
    half = calibration_rows(labels, seed=0)
    assert half is not None
    assert len(half) == LEAST_DIVIDED_ROWS // 2
    assert np.ptp(np.bincount(labels[half])) <= 1
    assert calibration_rows(labels[1:], seed=0) is None
    assert calibration_rows(np.arange(LEAST_DIVIDED_ROWS), seed=0) is None, "each row is a class"


def test_split_is_a_function_of_the_seed() -> None:
    first, again, other = (stratified_holdout(LABELS, 80, seed=seed).held for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_too_large_a_validation_split_is_refused() -> None:
    with pytest.raises(DataError, match="cannot hold 805 of 807"):
        stratified_holdout(LABELS, 805, seed=1)


def test_run_refuses_to_go_on_with_another_split(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_holdout(path, stratified_holdout(LABELS, 80, seed=1), seed=1)
    write_holdout(path, stratified_holdout(LABELS, 80, seed=1), seed=1)
    with pytest.raises(RunError, match="another split"):
        write_holdout(path, stratified_holdout(LABELS, 81, seed=1), seed=1)
