"""Parameters of processors: none has a default, and buckets of lengths reach the longest text."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from inference.configs import ImageConfig, ProcessorConfig, TextConfig

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
