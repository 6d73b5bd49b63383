"""The scores of labels, and the labels within a quantile."""

from typing import Any

import numpy as np
import pytest

from inference.configs import Conformal
from inference.processors.prediction_sets import label_scores, label_set, prediction_sets, within

ROW = np.array([[0.25, 0.5, 0.125, 0.125]], np.float32)


def test_scores_are_as_defined() -> None:
    np.testing.assert_allclose(label_scores(ROW), [[0.75, 0.5, 0.875, 0.875]])
    np.testing.assert_allclose(label_scores(ROW, "aps"), [[0.75, 0.5, 0.875, 1.0]])
    np.testing.assert_allclose(label_scores(ROW, "raps", 0.1, 2), [[0.75, 0.5, 0.975, 1.2]])


def test_each_class_has_its_own_quantile_where_the_manifest_says_so() -> None:
    conformal = Conformal(
        quantiles={"0.9": 0.8},
        covered={},
        default="0.9",
        by="class",
        class_quantiles={"0.9": (0.1, 0.5, 1.0, 0.8)},
    )
    assert within(ROW, conformal, "0.9").tolist() == [[False, True, True, False]]


def test_a_set_that_would_be_empty_holds_the_likeliest_label() -> None:
    conformal = Conformal(quantiles={"0.9": 0.2}, covered={}, default="0.9")
    assert not within(ROW, conformal, "0.9").any()
    assert prediction_sets(ROW, conformal, "0.9").tolist() == [[False, True, False, False]]


@pytest.mark.parametrize("score", ["lac", "aps", "raps"])
@pytest.mark.parametrize("by", ["all", "class"])
def test_the_set_of_one_row_is_that_of_many(score: Any, by: Any) -> None:
    draw = np.random.default_rng(3)
    probabilities = draw.dirichlet(np.full(5, 0.4), 300).astype(np.float32)
    scores = label_scores(probabilities, score, 0.05, 1)
    by_class = tuple(np.quantile(scores, [0.2, 0.4, 0.5, 0.6, 0.9]).tolist())
    conformal = Conformal(
        quantiles={"0.9": float(np.quantile(scores, 0.5))},
        covered={"0.9": 0.9},
        default="0.9",
        score=score,
        penalty=0.05 if score == "raps" else 0.0,
        free_ranks=1 if score == "raps" else 0,
        by=by,
        class_quantiles={"0.9": by_class} if by == "class" else {},
    )
    expected = prediction_sets(probabilities, conformal, "0.9")
    for row, members in zip(probabilities, expected, strict=True):
        order = np.argsort(-row, kind="stable").tolist()
        found = label_set(row.tolist(), order, conformal)
        assert found == [label for label in order if members[label]]
