"""Datatypes and payloads."""

import numpy as np

from inference.values import DataType


def test_every_datatype_has_a_numpy_and_an_onnx_type() -> None:
    for datatype in DataType:
        assert DataType.from_onnx(datatype.onnx) is datatype
        assert isinstance(datatype.dtype, np.dtype)
