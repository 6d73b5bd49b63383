"""Shapes between clients and the graph: as many elements, in the same order."""

import numpy as np
import pytest

from inference.triton.shapes import Reshape


@pytest.mark.parametrize(
    ("source", "target", "shape", "result"),
    [
        ((1,), (), (5, 1), (5,)),
        ((), (1,), (5,), (5, 1)),
        ((2, 3), (6,), (5, 2, 3), (5, 6)),
        ((4, -1, 2), (2, 2, -1, 1, 2), (5, 4, 7, 2), (5, 2, 2, 7, 1, 2)),
        ((-1, -1), (-1, 1, -1), (5, 2, 3), (5, 2, 1, 3)),
        ((-1, -1), (-1, 1, -1), (5, 0, 3), (5, 0, 1, 3)),
    ],
)
def test_axes_that_vary_are_carried_over_one_to_one(
    source: tuple[int, ...], target: tuple[int, ...], shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    reshaped = Reshape(source, target, batched=True)(array)
    assert reshaped.shape == result
    assert reshaped.reshape(-1).tolist() == array.reshape(-1).tolist()
