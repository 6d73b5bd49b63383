"""The paired test of a model against its baseline."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from training.evaluate.gate import FEW_ROWS, below_baseline

Scores = npt.NDArray[np.float64]


def _answers(only_model: int, only_baseline: int, both: int) -> tuple[Scores, Scores]:
    model = [1.0] * only_model + [0.0] * only_baseline + [1.0] * both
    baseline = [0.0] * only_model + [1.0] * only_baseline + [1.0] * both
    return np.array(model), np.array(baseline)


def test_of_right_and_wrong_answers_it_is_mcnemars_exact_test() -> None:
    gap = below_baseline(*_answers(2, 9, 100))
    assert gap.p_value == pytest.approx(binomtest(2, 11, alternative="less").pvalue, abs=1e-9)
    assert gap.difference == pytest.approx(-7 / 111)
    assert gap.significant


@pytest.mark.parametrize(("model", "baseline"), [(0, 4), (10, 14), (9, 2), (0, 0)])
def test_few_unequal_rows_and_better_models_are_not_significantly_below(model: int, baseline: int) -> None:
    assert not below_baseline(*_answers(model, baseline, 100)).significant


def test_a_gap_of_more_than_a_standard_error_is_noticeable_before_it_is_significant() -> None:
    gap = below_baseline(*_answers(0, 3, 100))
    assert gap.noticeable
    assert not gap.significant
    assert not below_baseline(*_answers(0, 1, 100)).noticeable


def test_a_model_as_good_as_its_baseline_is_called_worse_in_one_of_twenty() -> None:
    draws = np.random.default_rng(0)
    called = [
        below_baseline(draws.normal(size=rows), draws.normal(size=rows)).significant
        for rows in (40, FEW_ROWS + 1)
        for _ in range(50)
    ]
    assert 1 <= sum(called) <= 12


@pytest.mark.parametrize("baseline", [np.zeros(3), np.array([0.0, np.nan]), np.zeros((2, 1))])
def test_scores_of_other_rows_are_refused(baseline: Scores) -> None:
    with pytest.raises(ValueError, match="scores"):
        below_baseline(np.zeros(2), baseline)
