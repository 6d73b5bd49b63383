"""The quantiles of prediction sets, and the score that is chosen for them."""

import numpy as np
import pytest

from inference.processors.prediction_sets import prediction_sets, within
from inference.values import Array
from training.evaluate.conformal import (
    LAC,
    By,
    Scoring,
    choose_scoring,
    conformal_quantile,
    default_coverage,
    fit_sets,
    least_rows,
    with_test_figures,
)


def drawn(rows: int, seed: int = 0, classes: int = 4) -> tuple[Array, Array]:
    """Probabilities that are right, float32 [rows, classes], and labels; the last class is the hardest."""
    generator = np.random.default_rng(seed)
    truths = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes))
    logits[np.arange(rows), truths] += 4 - 0.8 * truths
    raised = np.exp(logits)
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32), truths


SCORINGS = [LAC, Scoring("aps"), Scoring("raps", 0.1, 1)]
IDS = ["lac", "aps", "raps"]


@pytest.mark.parametrize("scoring", SCORINGS, ids=IDS)
@pytest.mark.parametrize("coverage", ["0.9", "0.95", "0.99"])
def test_sets_hold_the_truth_of_fresh_rows_as_often_as_was_asked_for(scoring: Scoring, coverage: str) -> None:
    found = fit_sets(*drawn(4000), scoring=scoring)
    assert found is not None
    probabilities, truths = drawn(20_000, seed=1)
    held = within(probabilities, found, coverage)[np.arange(len(truths)), truths]
    assert held.mean() == pytest.approx(float(coverage), abs=3 * found.standard_error[coverage])


def test_a_hard_class_is_covered_as_often_where_that_is_promised_by_class() -> None:
    probabilities, truths = drawn(20_000, seed=1)
    lowest = {}
    ways: tuple[By, ...] = ("all", "class")
    for by in ways:
        found = fit_sets(*drawn(4000), by=by)
        assert found is not None
        lowest[by] = with_test_figures(found, probabilities, truths).lowest["0.95"]
    assert lowest["all"] < 0.93
    assert lowest["class"] > 0.94


def test_the_quantile_is_the_score_of_the_rank_that_guarantees_it() -> None:
    scores = np.arange(1, 20) / 20
    assert conformal_quantile(scores, 0.9) == 0.9  # rank 18 of 19
    assert conformal_quantile(scores, 0.95) == 0.95  # rank 19
    assert conformal_quantile(scores, 0.99) == 1.0  # rank 20 is none of them


@pytest.mark.parametrize(("coverage", "rows"), [(0.9, 9), (0.95, 19), (0.99, 99)])
def test_so_many_rows_are_needed_for_a_coverage(coverage: float, rows: int) -> None:
    assert least_rows(coverage) == rows
    assert conformal_quantile(np.full(rows, 0.5), coverage) == 0.5
    assert conformal_quantile(np.full(rows - 1, 0.5), coverage) == 1.0


def test_few_rows_have_wider_sets_and_too_few_have_none() -> None:
    probabilities, truths = drawn(30)
    found = fit_sets(probabilities, truths)
    assert found is not None
    assert found.default == "0.95"
    assert prediction_sets(probabilities, found, "0.99").all(), "every label, since 99 rows are needed"
    assert fit_sets(probabilities[:8], truths[:8]) is None
    assert fit_sets(probabilities, truths, by="class") is None, "no class has enough"


def test_a_class_of_few_rows_is_in_every_set_by_class() -> None:
    probabilities, truths = drawn(400)
    kept = (truths != 3) | (np.cumsum(truths == 3) <= 5)
    found = fit_sets(probabilities[kept], truths[kept], by="class")
    assert found is not None
    assert found.class_quantiles["0.95"][3] == 1
    assert max(found.class_quantiles["0.95"][:3]) < 1


@pytest.mark.parametrize(
    ("accuracy", "level"), [(0.8, 0.95), (0.9, 0.95), (0.9485, 0.99), (0.985, 0.995), (0.9999, 0.999)]
)
def test_the_default_level_leaves_half_of_the_mistakes_at_most(accuracy: float, level: float) -> None:
    assert default_coverage((0.9, 0.95, 0.99, 0.995, 0.999), accuracy) == level


def test_a_model_that_is_nearly_always_right_can_name_two_labels() -> None:
    """At a level below its accuracy no set could."""
    probabilities, truths = drawn(3000, classes=2)
    found = fit_sets(probabilities, truths)
    assert found is not None
    assert float(found.default) > (probabilities.argmax(axis=1) == truths).mean()
    assert (prediction_sets(probabilities, found, found.default).sum(axis=1) == 2).any()


def test_another_score_is_chosen_where_its_sets_are_shorter() -> None:
    """Right probabilities make the sets of lac the shortest; tails that tell nothing have raps cut them off."""
    assert choose_scoring(*drawn(2000)) == LAC
    generator, rows, classes = np.random.default_rng(0), 2000, 30
    order = generator.permuted(np.tile(np.arange(classes), (rows, 1)), axis=1)
    # The truth is among the first three ranks, whatever the sharpness, which differs from row to row.
    rank = generator.choice(3, rows, p=[0.7, 0.2, 0.1])
    truths = order[np.arange(rows), rank]
    sharpness = generator.uniform(0.02, 3, rows)[:, None]
    raised = np.exp(-sharpness * np.arange(classes))
    probabilities = np.empty((rows, classes), np.float32)
    np.put_along_axis(
        probabilities, order, (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32), 1
    )
    chosen = choose_scoring(probabilities, truths)
    assert chosen.score == "raps"
    mean = {}
    for scoring in (LAC, chosen):
        found = fit_sets(probabilities, truths, scoring=scoring)
        assert found is not None
        mean[scoring] = prediction_sets(probabilities, found, found.default).sum(axis=1).mean()
    assert mean[chosen] < mean[LAC]
