"""Metrics as Prometheus reads them: every label from the start, few enough series, and buckets that add up."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.engine.context import StageTimes
from serving.engine.metrics import Distribution, ModelMetrics
from serving.engine.served_model import IndexEntry, ModelState, ServedModel
from serving.observe import exposition
from serving.observe.exposition import MAX_LABELS, OTHER, choose_format


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


def test_buckets_are_cumulative_and_the_last_has_everything() -> None:
    seen = Distribution((1, 4))
    for value in (1, 2, 4, 5, 900):
        seen.observe(value)
    assert exposition._buckets(seen, (1, 4)) == [("1.0", 1), ("4.0", 3), ("+Inf", 5)]


def test_an_exemplar_stands_in_the_bucket_of_its_request() -> None:
    metrics = ModelMetrics("m", 1)
    metrics.observe_request(StageTimes(), rows=1, seconds_total=0.003)
    metrics.exemplify("a" * 32, 0.003)
    (family,) = [exposition._requests([metrics])]
    (traced,) = [sample for sample in family.samples if sample.exemplar is not None]
    assert (traced.labels["le"], traced.exemplar and traced.exemplar.labels) == (
        "0.005",
        {"trace_id": "a" * 32},
    )


@pytest.mark.parametrize(
    ("accept", "is_openmetrics"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", True),
        ('application/openmetrics-text; version="1.0.0"', True),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", False),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.5", False),
        ("application/openmetrics-text;q=0, text/plain", False),
        ("", False),
    ],
)
def test_a_scrape_is_openmetrics_only_where_its_current_version_is_preferred(
    accept: str, is_openmetrics: bool
) -> None:
    _, content_type = choose_format(accept)
    assert content_type.startswith("application/openmetrics-text") is is_openmetrics


def test_a_folder_of_thousands_of_other_files_does_not_fill_prometheus_and_is_counted_whole() -> None:
    index = [IndexEntry("m", version, ModelState.READY) for version in range(1, 200)]
    index += [IndexEntry(f"file{number}.onnx", "", ModelState.REFUSED, "loose") for number in range(5000)]
    registry = SimpleNamespace(
        served=list, index=lambda: index, looks={"success": 7, "failed": 2},
        refused=lambda: [(entry.name, "") for entry in index if entry.version == ""],
    )  # fmt: skip
    samples = [
        sample for family in exposition.ModelCollector(registry).collect() for sample in family.samples
    ]
    told = [sample for sample in samples if sample.name == "baton_model_refused"]
    assert len(told) == 199 + MAX_LABELS
    assert sum(sample.value for sample in told) == MAX_LABELS
    assert [sample.value for sample in samples if sample.name == "baton_folder_faults"] == [5000]
    looks = {s.labels["outcome"]: s.value for s in samples if s.name == "baton_folder_looks_total"}
    assert looks == {"success": 7, "failed": 2}
