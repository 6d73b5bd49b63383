"""Answers as metrics: every label from the start, few enough series for Prometheus, and what was not read."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.engine.metrics import ModelMetrics
from serving.engine.registry import ServedModel
from serving.observe import exposition
from serving.observe.exposition import MAX_LABELS, OTHER


def served(labels: tuple[str, ...]) -> tuple[ServedModel, ModelMetrics]:
    metrics = ModelMetrics("m", 1)
    processor = SimpleNamespace(classification=SimpleNamespace(labels=labels))
    model = SimpleNamespace(metrics=metrics, predictor=SimpleNamespace(processor=processor))
    return cast("ServedModel", model), metrics


def shown(model: ServedModel) -> dict[tuple[str, str], float]:
    families = list(exposition._predictions([model]))
    return {
        (sample.name, sample.labels.get("label", "")): sample.value
        for family in families
        for sample in family.samples
        if "le" not in sample.labels
    }


def answer(label: str, probability: float, **more: Any) -> dict[str, Any]:
    return {"label": label, "probability": probability, **more}


def test_every_label_is_there_before_its_first_answer() -> None:
    model, metrics = served(("cat", "dog"))
    metrics.observe_predictions([answer("cat", 0.75), answer("cat", 0.5, outlier=True)])
    told = shown(model)
    assert told["baton_predictions_total", "cat"] == 2
    assert told["baton_predictions_total", "dog"] == 0
    assert told["baton_predicted_probability_total", "cat"] == 1.25
    assert told["baton_outliers_total", ""] == 1
    assert told["baton_confidence_count", ""] == 2
    assert told["baton_confidence_sum", ""] == pytest.approx(1.25)


def test_labels_beyond_the_bound_share_a_series() -> None:
    names = tuple(f"label{place}" for place in range(1000))
    model, metrics = served(names)
    metrics.observe_predictions([answer(name, 0.5) for name in names])
    told = shown(model)
    counts = {label: count for (name, label), count in told.items() if name == "baton_predictions_total"}
    assert len(counts) == MAX_LABELS + 1
    assert counts[OTHER] == 1000 - MAX_LABELS


def test_answers_without_a_label_have_no_mix() -> None:
    model, metrics = served(())
    metrics.observe_predictions([{"items": [1, 2, 3]}])
    assert shown(model) == {}


def test_words_and_items_that_mean_nothing_to_the_model_are_counted() -> None:
    _, metrics = served(("good", "bad"))
    metrics.observe_predictions(
        [
            answer("good", 0.9, tokens=10, unknown=3, truncated=True),
            answer("bad", 0.8, tokens=5, unknown=0, truncated=False),
            {"items": [], "known": 2, "unknown": ["x"]},
        ]
    )
    assert (metrics.tokens, metrics.unknown, metrics.truncated) == (18, 4, 1)
    assert metrics.confidence.count == 2
