"""Rows are collated and split again; ids and lengths are checked."""

import numpy as np

from inference.processors.base import StackingProcessor


def test_what_was_collated_is_split_again() -> None:
    processor = StackingProcessor()
    parts = [{"x": np.arange(size * 2).reshape(size, 2)} for size in (2, 1, 3)]
    batch = processor.collate(parts)
    assert batch["x"].shape == (6, 2)
    for part, back in zip(parts, processor.split(batch, [2, 1, 3]), strict=True):
        np.testing.assert_array_equal(part["x"], back["x"])
