"""Calibration on validation: which rows give the temperature, the sets and the outliers."""

import json

import numpy as np
import pytest
import torch

from tests.training.evaluate.test_metrics import LABELS, LOGITS
from training.evaluate.calibrate import FALSE_ALARM_RATE, Calibrated, calibrate


def test_calibration_flags_the_stated_share_of_validation_as_outliers() -> None:
    found = calibrate(LOGITS, LABELS)
    energies = -(LOGITS / found.temperature).logsumexp(1)
    assert found.outlier_threshold is not None
    assert (energies > found.outlier_threshold).double().mean().item() == pytest.approx(
        FALSE_ALARM_RATE, abs=0.005
    )


def test_a_larger_coverage_asks_for_a_larger_set() -> None:
    conformal = calibrate(LOGITS, LABELS).conformal
    assert conformal is not None
    assert [*conformal.quantiles] == ["0.9", "0.95", "0.99", "0.995"], "and 0.999 takes 999 rows"
    assert [*conformal.quantiles.values()] == sorted(conformal.quantiles.values())
    assert (conformal.rows, conformal.apart) == (len(LABELS), False)


def test_rows_apart_give_the_quantiles_and_the_others_the_temperature() -> None:
    apart = np.arange(0, len(LABELS), 2)
    found = calibrate(LOGITS, LABELS, apart)
    assert found.conformal is not None
    assert (found.conformal.rows, found.conformal.apart) == (len(apart), True)
    others = LOGITS.clone()
    others[apart] = torch.randn(len(apart), LOGITS.shape[1], dtype=torch.float64) * 30
    spoiled = calibrate(others, LABELS, apart)
    assert spoiled.temperature == found.temperature
    assert spoiled.conformal is not None
    assert spoiled.conformal.quantiles != found.conformal.quantiles


def test_a_coverage_by_class_has_a_quantile_for_each() -> None:
    conformal = calibrate(LOGITS, LABELS, by="class").conformal
    assert conformal is not None
    assert {len(quantiles) for quantiles in conformal.class_quantiles.values()} == {LOGITS.shape[1]}


def test_the_defaults_change_nothing() -> None:
    untouched = Calibrated()
    assert (untouched.temperature, untouched.conformal, untouched.outlier_threshold) == (1.0, None, None)


def test_the_calibration_of_an_older_run_is_read() -> None:
    older = {"temperature": 1.2, "quantiles": {"0.9": 0.3, "0.95": 0.5}, "outlier_threshold": -2.0}
    found = Calibrated.model_validate_json(json.dumps(older))
    assert found.conformal is not None
    assert (found.temperature, found.conformal.quantiles["0.95"], found.conformal.rows) == (1.2, 0.5, 0)
    assert Calibrated.model_validate_json(json.dumps({**older, "quantiles": {}})).conformal is None
