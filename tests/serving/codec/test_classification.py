"""The largest elements of an output as texts."""

import numpy as np
import pytest

from inference.errors import InvalidInput
from inference.values import DataType
from serving.codec.classification import MAX_ELEMENTS, check_classification, classify


def test_an_output_too_big_to_be_ranked_is_refused() -> None:
    many = np.zeros((2, MAX_ELEMENTS // 2 + 1), np.float32)
    with pytest.raises(
        InvalidInput, match=f"outputs.y: got an output of 1000002 elements, .*at most {MAX_ELEMENTS}"
    ):
        classify(many, 1, (), batched=True, field="outputs.y")


def test_of_equals_the_first_comes_first_and_labels_end_where_they_end() -> None:
    row = np.array([[2, 7, 7, 1]], np.int32)
    texts = classify(row, 3, ("a", "b"), batched=True, field="y")
    assert texts.tolist() == [["7:1:b", "7:2", "2:0:a"]]


def test_without_a_batch_axis_all_axes_are_one_row() -> None:
    texts = classify(np.array([[0.5, -1], [9, 2]], np.float32), 2, (), batched=False, field="y")
    assert texts.tolist() == ["9.000000:2", "2.000000:3"]


@pytest.mark.parametrize("datatype", [DataType.BYTES, DataType.FP16, DataType.BF16])
def test_types_without_a_rank_are_refused(datatype: DataType) -> None:
    check_classification(DataType.FP64, "f")
    with pytest.raises(InvalidInput, match=f"^f: got an output of {datatype}, expected an output of numbers"):
        check_classification(datatype, "f")
