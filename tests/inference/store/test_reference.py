"""The reference that drift is measured against: how it is made, read and refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.errors import ManifestInvalid
from inference.predictor import Predictor
from inference.processors.image import ImageProcessor
from inference.store.reference import A_HAIR, QUANTILES, REFERENCE_FILE, Histogram, Reference
from inference.values import Payload
from tests.bundles import CONFIG, png, with_reference, write_brightness

SUMMARY = {
    "brightness": np.linspace(0, 255, 1000),
    "contrast": np.zeros(1000),
    "label": np.arange(1000) % 2,
    "confidence": np.linspace(0.5, 1, 1000),
}


def content() -> dict[str, Any]:
    made: dict[str, Any] = Reference.of(SUMMARY).model_dump(mode="json")
    return made


def test_a_feature_of_many_values_has_bins_of_as_many_rows_each() -> None:
    counts = Histogram.of(SUMMARY["brightness"]).counts
    assert len(counts) == QUANTILES
    assert set(counts) == {100}


def test_a_feature_of_few_values_has_a_bin_for_each_and_one_on_either_side() -> None:
    found = Histogram.of(np.array([0.0] * 70 + [2.0] * 30))
    assert found.bounds == (-A_HAIR, 0, 2)
    assert found.counts == (0, 70, 30, 0)
    assert [found.place(value) for value in (-1, 0, 0.5, 2, 3)] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("sure", [1000, 920], ids=["always", "nearly always"])
def test_a_confidence_that_is_one_has_a_bin_below_it(sure: int) -> None:
    found = Histogram.of(np.concatenate([np.ones(sure), np.linspace(0.5, 0.9, 1000 - sure)]))
    assert found.counts == (1000 - sure, sure, 0)
    assert [found.place(value) for value in (0.7, 1)] == [0, 1]


def test_a_value_that_many_rows_share_ends_its_bin() -> None:
    values = np.concatenate([np.zeros(600), np.linspace(0.001, 1, 400)])
    found = Histogram.of(values)
    assert found.bounds[:2] == (-A_HAIR, 0)
    assert found.counts[:2] == (0, 600)


def test_bins_are_found_for_one_value_as_they_were_for_all() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=500).round(1)
    found = Histogram.of(values)
    places = np.array([found.place(value) for value in values.tolist()])
    assert tuple(np.bincount(places, minlength=len(found.counts))) == found.counts


def test_a_reference_survives_its_file(tmp_path: Path) -> None:
    folder = with_reference(write_brightness(tmp_path), content())
    assert Predictor.open(folder).reference == Reference.of(SUMMARY)


def test_a_bundle_without_a_reference_opens(tmp_path: Path) -> None:
    assert Predictor.open(write_brightness(tmp_path)).reference is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda it: it.update(schema_version=2), "schema_version"),
        (lambda it: it.update(split="train"), "split"),
        (lambda it: it.update(more=1), "more"),
        (lambda it: it.update(features={}), "features"),
        (lambda it: it.update(rows=999), "got 1000 rows, expected the 999 of all"),
        (lambda it: it["features"]["label"].update(bounds=[1, 0]), "expected them to rise"),
        (lambda it: it["features"]["label"].update(counts=[500, 500]), "got 2, expected 4"),
        (lambda it: it["features"]["label"].update(counts=[0, -1, 1001, 0]), "expected none below 0"),
        (
            lambda it: it["features"].update(hue=it["features"]["label"]),
            "got hue, expected some of brightness",
        ),
    ],
    ids=["schema", "split", "surplus", "empty", "rows", "order", "short", "negative", "foreign feature"],
)
def test_a_malformed_reference_is_refused_by_name(tmp_path: Path, change: Any, fault: str) -> None:
    broken = content()
    change(broken)
    folder = with_reference(write_brightness(tmp_path), broken)
    with pytest.raises(ManifestInvalid, match=rf"(?s){REFERENCE_FILE}.*{fault}"):
        Predictor.open(folder)


def test_an_image_is_summarised_by_its_pixels_and_its_answer(tmp_path: Path) -> None:
    predictor = Predictor.open(write_brightness(tmp_path))
    [dark, bright] = [
        predictor.processor.summarise(*exchange)
        for exchange in predictor.exchanges([Payload(png(level), "image/png") for level in (40, 240)])
    ]
    assert set(dark) == set(ImageProcessor.summary_features)
    assert [dark["brightness"], bright["brightness"]] == [[40], [240]]
    assert dark["contrast"] == [0]
    assert [dark["label"], bright["label"]] == [[0], [1]]
    assert 0.5 < dark["confidence"] <= 1


def test_a_large_image_costs_a_summary_no_more_than_a_small_one() -> None:
    config = CONFIG.model_copy(update={"height": 512, "width": 512})
    processor = ImageProcessor(config)
    features = processor.preprocess(processor.decode(Payload(png(7, (512, 512)), "image/png")))
    outputs = {"probabilities": np.array([[0.25, 0.75]], np.float32)}
    assert processor.summarise(features, outputs)["brightness"] == [7]
