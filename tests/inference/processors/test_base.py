"""Rows are collated and split again; ids and lengths are checked."""

import numpy as np
import pytest

from inference.errors import InputTooLarge, InvalidInput, RowsChanged
from inference.processors.base import StackingProcessor, check_ids, check_length


def test_what_was_collated_is_split_again() -> None:
    processor = StackingProcessor()
    parts = [{"x": np.arange(size * 2).reshape(size, 2)} for size in (2, 1, 3)]
    batch = processor.collate(parts)
    assert batch["x"].shape == (6, 2)
    for part, back in zip(parts, processor.split(batch, [2, 1, 3]), strict=True):
        np.testing.assert_array_equal(part["x"], back["x"])


def test_one_part_is_its_own_batch_and_its_outputs_are_not_cut() -> None:
    processor, part = StackingProcessor(), {"x": np.zeros((2, 3))}
    assert processor.collate([part]) is part
    assert processor.split(part, [2]) == [part]


def test_rows_of_one_shape_share_a_bucket() -> None:
    def bucket(*shapes: tuple[int, ...]) -> object:
        return StackingProcessor().bucket({str(index): np.zeros(shape) for index, shape in enumerate(shapes)})

    assert bucket((1, 3), (1,)) == bucket((5, 3), (5,))
    assert bucket((1, 3), (1,)) != bucket((1, 4), (1,))


def test_outputs_with_other_rows_than_the_inputs_are_an_error() -> None:
    with pytest.raises(RowsChanged, match=r"output y: 3 rows went in, and shape \[2\] came out"):
        StackingProcessor().split({"y": np.zeros(2)}, [1, 2])


@pytest.mark.parametrize("wrong", [-1, 10, 2**62])
def test_an_id_out_of_its_table_is_told_with_its_place(wrong: int) -> None:
    ids = np.array([[0, 9], [3, 4]])
    check_ids(ids, "ids", 10)
    ids[1, 0] = wrong
    with pytest.raises(InvalidInput, match=rf"ids\[1, 0\]: got {wrong}, expected an id from 0 to 9"):
        check_ids(ids, "ids", 10)


def test_rows_have_at_least_one_id_and_at_most_the_processors_length() -> None:
    check_length(np.zeros((2, 4)), "ids", 4)
    with pytest.raises(InvalidInput, match="at least one id in a row"):
        check_length(np.zeros((2, 0)), "ids", 4)
    with pytest.raises(InputTooLarge, match="rows of 5 ids, expected at most 4"):
        check_length(np.zeros((2, 5)), "ids", 4)
