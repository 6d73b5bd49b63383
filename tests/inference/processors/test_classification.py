"""Answers with labels: prediction set, outlier and energy."""

import numpy as np

from inference.configs import Conformal, OutOfDistribution
from inference.processors.classification import Classification, energy


def test_the_prediction_set_holds_what_the_quantile_asks_for_and_is_never_empty() -> None:
    conformal = Conformal(quantiles={"0.9": 0.7}, covered={"0.9": 0.91}, default="0.9")
    words = Classification(("a", "b", "c"), conformal, None)
    outputs = {"probabilities": np.array([[0.5, 0.35, 0.15]], np.float32)}
    assert words.answer(outputs)["label_set"] == ["a", "b"]
    flat = {"probabilities": np.array([[0.2, 0.2, 0.2]], np.float32)}
    assert words.answer(flat)["label_set"] == ["a"]


def test_an_input_unlike_the_training_data_is_called_an_outlier() -> None:
    words = Classification(("a", "b"), None, OutOfDistribution(threshold=-2.0, false_alarm_rate=0.01))
    sure, unsure = np.array([[9.0, -9.0]], np.float32), np.array([[0.1, 0.0]], np.float32)
    probabilities = np.array([[0.5, 0.5]], np.float32)
    assert words.answer({"probabilities": probabilities, "logits": sure})["outlier"] is False
    assert words.answer({"probabilities": probabilities, "logits": unsure})["outlier"] is True


def test_energy_agrees_with_its_definition() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(energy(logits), -np.log(np.exp(logits.astype(float)).sum(axis=1)))


def test_the_score_of_the_graph_decides_where_the_manifest_names_it() -> None:
    record = OutOfDistribution(threshold=1.0, false_alarm_rate=0.01, score="layers", output="outlier_score")
    words = Classification(("a", "b"), None, record)
    outputs = {"probabilities": np.array([[0.5, 0.5]], np.float32)}
    assert words.answer({**outputs, "outlier_score": np.array([[1.5]], np.float32)})["outlier"] is True
    assert words.answer({**outputs, "outlier_score": np.array([[0.5]], np.float32)})["outlier"] is False
