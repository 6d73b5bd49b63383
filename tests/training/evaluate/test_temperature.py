"""The temperature: found where the rows can say it, and 1 where they cannot."""

import pytest
import torch

from tests.training.evaluate.test_metrics import LOGITS, PROBABILITIES
from training.data.examples import seeded
from training.evaluate.temperature import LEAST_ROWS, choose_temperature, fit_temperature

LABELS = torch.multinomial(PROBABILITIES, 5, replacement=True, generator=seeded(3)).T.flatten()
ROWS = LOGITS.repeat(5, 1)


@pytest.mark.parametrize("sharpness", [0.5, 2.5], ids=["too unsure", "too sure"])
def test_the_temperature_is_the_one_that_the_logits_were_made_with(sharpness: float) -> None:
    found = choose_temperature(sharpness * ROWS, LABELS)
    assert found.value == pytest.approx(sharpness, rel=0.1)
    assert found.gain is not None
    assert found.gain > 0
    assert found.held_out.mean().item() == pytest.approx(found.value, rel=0.05)


def test_calibrated_logits_stay_as_they_are() -> None:
    found = choose_temperature(ROWS[:400], LABELS[:400])
    assert found.value == 1
    assert "not significant" in found.reason


def test_a_split_without_a_mistake_takes_no_temperature() -> None:
    """The likelihood alone would go to its bound: no temperature is too low for it."""
    logits, labels = 0.1 * ROWS, ROWS.argmax(1)
    assert fit_temperature(logits, labels, prior_nats=0) == pytest.approx(1 / 20, rel=1e-3)
    found = choose_temperature(logits, labels)
    assert found.value == 1
    assert "without a mistake" in found.reason


def test_few_rows_take_no_temperature() -> None:
    few = choose_temperature(5 * ROWS[: LEAST_ROWS - 1], LABELS[: LEAST_ROWS - 1])
    assert (few.value, few.gain) == (1, None)
    assert set(few.held_out.tolist()) == {1}


def test_the_prior_holds_back_what_few_rows_say_and_not_what_many_do() -> None:
    few, many = (
        fit_temperature(1.3 * ROWS[:rows], LABELS[:rows])
        / fit_temperature(1.3 * ROWS[:rows], LABELS[:rows], 0)
        for rows in (60, 2000)
    )
    assert few < 0.9
    assert many == pytest.approx(1, abs=0.03)
