"""The processor of a graph without a task."""

import numpy as np
import pytest

from inference.errors import Unsupported
from inference.processors.tensor import TensorProcessor
from inference.values import Payload, Tensors


def test_instances_are_refused_with_the_verb_that_there_is() -> None:
    with pytest.raises(Unsupported, match=r"no task: send tensors to /v2/models/{name}/infer"):
        TensorProcessor().decode(Payload(b"x"))


def test_each_output_of_a_row_is_a_list() -> None:
    outputs: Tensors = {"y": np.array([[1, 2]], np.int64), "z": np.array([[[0.5]]], np.float32)}
    assert TensorProcessor().postprocess(outputs, None) == {"y": [1, 2], "z": [[0.5]]}
