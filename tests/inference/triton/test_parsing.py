"""From a text to Triton's message: faults with field and line, and the fields that are set."""

from pathlib import Path

import pytest

from inference.triton.parsing import ConfigFault, fields_set, parse


def message_of(root: Path, text: str) -> object:
    (root / "config.pbtxt").write_text(text)
    return parse(root / "config.pbtxt")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_batch_sice: 4", "config.pbtxt:1: max_batch_sice: ModelConfig has no such field, did you mean max_batch_"),
        ("\n\nname: 4", "config.pbtxt:3: "),
        ('\nbackend: "python"', "config.pbtxt:2: backend: got 'python', expected 'onnxruntime'"),
        ("ensemble_scheduling { }", "config.pbtxt:1: ensemble_scheduling: got it set, and without it answers"),
    ],
    ids=["unknown", "no text", "another backend", "refused"],
)  # fmt: skip
def test_a_fault_has_its_field_and_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigFault) as caught:
        message_of(tmp_path, text)
    assert str(caught.value).startswith(told)


def test_fields_are_told_apart_as_deep_as_the_tables_do(tmp_path: Path) -> None:
    text = 'max_batch_size: 4 input { name: "x" dims: 3 } optimization { cuda { graphs: true } priority: PRIORITY_MAX }'
    assert sorted(fields_set(message_of(tmp_path, text))) == [
        "input.dims", "input.name", "max_batch_size", "optimization.cuda", "optimization.priority",
    ]  # fmt: skip


def test_a_field_that_is_turned_off_is_not_set(tmp_path: Path) -> None:
    assert list(fields_set(message_of(tmp_path, "input { allow_ragged_batch: false }"))) == []


def test_a_mark_of_its_encoding_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_bytes(b"\xef\xbb\xbfmax_batch_size: 4")
    assert parse(tmp_path / "config.pbtxt").max_batch_size == 4
