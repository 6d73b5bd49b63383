"""Tensors of a loaded graph, in the types of the Open Inference Protocol."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inference.errors import GraphInvalid
from inference.runtime.signature import ZIPPED, specs_of, unzip
from inference.values import DataType

HERE = Path("models/test/1")


def test_named_and_unknown_axes_are_dynamic() -> None:
    (spec,) = specs_of([SimpleNamespace(name="x", type="tensor(float)", shape=["batch", None, 3])], HERE)
    assert (spec.name, spec.datatype, spec.shape) == ("x", DataType.FP32, (-1, -1, 3))


def test_a_dict_of_probabilities_is_a_table_of_them() -> None:
    kind = "seq(map(int64,tensor(float)))"
    (spec,) = specs_of([SimpleNamespace(name="p", type=kind, shape=[])], HERE)
    assert ZIPPED.fullmatch(kind)
    assert (spec.datatype, spec.shape) == (DataType.FP32, (-1, -1))
    rows = unzip([{0: 0.25, 1: 0.75}, {0: 1.0, 1: 0.0}], spec.datatype)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[0.25, 0.75], [1.0, 0.0]]


def test_a_type_that_the_protocol_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(GraphInvalid, match=r"z: got seq\(tensor\(float\)\), expected a tensor"):
        specs_of([SimpleNamespace(name="z", type="seq(tensor(float))", shape=[])], HERE)
