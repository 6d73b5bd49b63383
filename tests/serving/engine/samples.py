"""Rows to measure with, where their values do not matter."""

import numpy as np

from inference.values import Tensors
from serving.engine.timing import Rows


def sample_rows(example: Tensors) -> Rows:
    """Batches made by repeating the rows of one real example."""

    def make(size: int) -> Tensors:
        return {name: np.resize(array, (size, *array.shape[1:])) for name, array in example.items()}

    return make
