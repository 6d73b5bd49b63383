"""Parameters of processors: none has a default, and buckets of lengths reach the longest text."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from inference.configs import Conformal, ImageConfig, OutOfDistribution, ProcessorConfig, TextConfig

TEXT: dict[str, Any] = {
    "kind": "text", "max_length": 8, "length_buckets": [4, 8], "pad_id": 0, "unknown_id": 1, "max_characters": 100,
}  # fmt: skip


def test_the_kind_chooses_the_config() -> None:
    assert isinstance(TypeAdapter(ProcessorConfig).validate_python(TEXT), TextConfig)
    with pytest.raises(ValidationError, match="'audio'"):
        TypeAdapter(ProcessorConfig).validate_python({"kind": "audio"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"length_buckets": [8, 4]}, "expected them to rise"),
        ({"length_buckets": [4, 4, 8]}, "expected them to rise"),
        ({"length_buckets": [4]}, "the last is 4, expected max_length, 8"),
        ({"stride": 2}, "stride"),
    ],
)
def test_a_text_config_is_held_to_its_own_lengths_and_fields(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TextConfig.model_validate({**TEXT, **change})


@pytest.mark.parametrize("config", [ImageConfig, TextConfig])
def test_no_parameter_has_a_default(config: type[ImageConfig | TextConfig]) -> None:
    assert all(field.is_required() for field in config.model_fields.values())


IMAGE: dict[str, Any] = {
    "kind": "image", "height": 8, "width": 8, "mode": "L", "fit": "crop", "interpolation": "bilinear",
    "background": 0, "max_pixels": 100,
}  # fmt: skip
ITEMS: dict[str, Any] = {
    "kind": "recommendation", "subject": "history", "max_history": 9, "default_k": 2, "max_k": 9,
    "filter_history": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (IMAGE, "height", 1 << 15),
        (IMAGE, "width", 0),
        (IMAGE, "max_pixels", 1 << 29),
        (IMAGE, "background", 256),
        (TEXT, "max_characters", 1 << 27),
        (TEXT, "unknown_id", 1 << 31),
        (TEXT, "pad_id", -1),
        (ITEMS, "max_history", 1 << 21),
        (ITEMS, "max_k", 1 << 21),
        (ITEMS, "default_k", 10),
    ],
)
def test_a_number_has_its_bounds(config: dict[str, Any], field: str, value: int) -> None:
    kind = TypeAdapter(ProcessorConfig)
    kind.validate_python(config)
    with pytest.raises(ValidationError, match=field):
        kind.validate_python({**config, field: value})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quantiles": {"0.9": -0.5}}, "quantiles"),
        ({"quantiles": {"0.9": 1.5}}, "quantiles: got 1.5, expected at most 1 of the score lac"),
        ({"by": "class"}, r"class_quantiles: got \[\], expected \['0.9'\]"),
        ({"class_quantiles": {"0.9": (0.1, 0.2)}}, r"expected \[\] by 'all'"),
        ({"covered": {"0.9": -0.1}}, "covered"),
        ({"default": "0.99"}, "default: got '0.99', expected one of"),
    ],
)
def test_a_prediction_set_has_a_default_and_shares(change: dict[str, Any], told: str) -> None:
    content = {"quantiles": {"0.9": 0.5}, "covered": {"0.9": 0.9}, "default": "0.9"}
    Conformal.model_validate(content)
    with pytest.raises(ValidationError, match=told):
        Conformal.model_validate({**content, **change})


def test_a_threshold_is_a_number_that_a_score_may_have() -> None:
    with pytest.raises(ValidationError, match="threshold"):
        OutOfDistribution(threshold=1e7, false_alarm_rate=0.1)
