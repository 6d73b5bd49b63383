"""Datatypes and payloads."""

import numpy as np
import pytest

from inference.values import DataType, Payload


def test_every_datatype_has_a_numpy_and_an_onnx_type() -> None:
    for datatype in DataType:
        assert DataType.from_onnx(datatype.onnx) is datatype
        assert isinstance(datatype.dtype, np.dtype)


@pytest.mark.parametrize(("data", "size"), [(b"abc", 3), ("abcd", 4)], ids=["bytes", "text"])
def test_the_size_of_a_payload_is_that_of_its_data(data: object, size: int) -> None:
    assert Payload(data).size == size
