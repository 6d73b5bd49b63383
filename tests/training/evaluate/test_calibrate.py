"""Calibration on validation: the temperature, the sets, the outliers."""

import pytest
import torch

from tests.training.evaluate.test_metrics import CLASSES, LABELS, LOGITS, PROBABILITIES, ROWS
from training.data.examples import seeded
from training.evaluate.calibrate import (
    COVERAGES,
    FALSE_ALARM_RATE,
    Calibrated,
    calibrate,
    conformal_quantile,
    covered,
    fit_temperature,
)


def test_temperature_is_the_one_that_the_logits_were_made_with() -> None:
    labels = torch.multinomial(PROBABILITIES, 50, replacement=True, generator=seeded(3)).T.flatten()
    assert fit_temperature(2.5 * LOGITS.repeat(50, 1), labels) == pytest.approx(2.5, rel=0.05)


def test_conformal_sets_hold_the_truth_as_often_as_asked() -> None:
    half = ROWS // 2
    quantile = conformal_quantile(PROBABILITIES[:half], LABELS[:half], 0.9)
    found = covered(PROBABILITIES[half:], LABELS[half:], {"0.9": quantile})
    assert found["0.9"] == pytest.approx(0.9, abs=0.06)
    assert conformal_quantile(PROBABILITIES[:5], LABELS[:5], 0.99) == 1.0


def test_calibration_flags_the_stated_share_of_validation_as_outliers() -> None:
    found = calibrate(LOGITS, LABELS)
    energies = -(LOGITS / found.temperature).logsumexp(1)
    assert found.outlier_threshold is not None
    assert (energies > found.outlier_threshold).double().mean().item() == pytest.approx(
        FALSE_ALARM_RATE, abs=0.005
    )


def test_a_larger_coverage_asks_for_a_larger_set() -> None:
    quantiles = list(calibrate(LOGITS, LABELS).quantiles.values())
    assert len(quantiles) == len(COVERAGES)
    assert quantiles == sorted(quantiles)
    assert CLASSES > 2


def test_the_defaults_change_nothing() -> None:
    untouched = Calibrated()
    assert (untouched.temperature, untouched.quantiles, untouched.outlier_threshold) == (1.0, {}, None)
