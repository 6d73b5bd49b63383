"""The interval of a calibration error."""

import torch

from training.data.examples import seeded
from training.evaluate.calibration_error import interval
from training.evaluate.metrics import expected_calibration_error

ROWS = 3000


def rows_of(sharpness: float) -> tuple[torch.Tensor, torch.Tensor]:
    logits = 2 * torch.randn(ROWS, 3, generator=seeded(4), dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=seeded(5))[:, 0]
    return (sharpness * logits).softmax(1), labels


def test_a_calibrated_model_may_have_no_error_at_all() -> None:
    probabilities, labels = rows_of(1)
    found = interval(probabilities, labels)
    assert found.low == 0
    assert 0 < expected_calibration_error(probabilities, labels) < 2 * found.noise


def test_an_error_that_is_no_accident_lies_inside_and_above_the_noise() -> None:
    probabilities, labels = rows_of(2)
    found, error = interval(probabilities, labels), expected_calibration_error(probabilities, labels)
    assert 0 < found.low < error < found.high + found.noise
    assert found.low > 2 * found.noise
