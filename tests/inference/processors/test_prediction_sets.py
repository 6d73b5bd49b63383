"""The scores of labels, and the labels within a quantile."""

import numpy as np

from inference.configs import Conformal
from inference.processors.prediction_sets import label_scores, prediction_sets, within

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
