"""Drawn rows: the same at every start, ordinary ones that differ, and company of every kind."""

import numpy as np
import pytest

from inference.errors import InferenceFailed
from inference.manifest import TensorSpec
from inference.proving.independence import COMPARED
from inference.proving.sample_values import Guess, make_rows
from inference.values import Array, DataType


def drawn(datatype: DataType, low: int = 0, high: int = 10) -> list[Array]:
    spec = TensorSpec(name="x", datatype=datatype, shape=(-1, 4))
    return [row["x"] for row in make_rows([spec], Guess({"x": (1, 4)}, low, high, ("red", "green", "blue")))]


@pytest.mark.parametrize("datatype", list(DataType))
def test_rows_have_the_shape_and_the_datatype_and_are_the_same_at_every_start(datatype: DataType) -> None:
    rows, again = drawn(datatype), drawn(datatype)
    assert {(row.shape, row.dtype) for row in rows} == {((1, 4), datatype.dtype)}
    for row, other in zip(rows, again, strict=True):
        np.testing.assert_array_equal(row, other)


@pytest.mark.parametrize("datatype", list(DataType))
def test_the_rows_to_compare_differ(datatype: DataType) -> None:
    assert len({row.tobytes() if row.dtype != object else str(row) for row in drawn(datatype)[:COMPARED]}) > 1


def test_whole_numbers_stay_in_their_range_and_only_the_last_company_leaves_it() -> None:
    *inside, last = drawn(DataType.INT64, 3, 7)
    assert all(3 <= row.min() <= row.max() < 7 for row in inside)
    assert last.min() >= 256


def test_real_company_has_zeros_large_numbers_nan_and_infinity() -> None:
    company = drawn(DataType.FP32)[COMPARED:]
    assert any(not row.any() for row in company)
    assert any(np.isnan(row).all() for row in company)
    assert any(np.isinf(row).all() for row in company)
    assert any(np.isfinite(row).all() and np.abs(row).max() >= 1e6 for row in company)


def test_rows_that_would_take_gigabytes_are_not_made() -> None:
    spec = TensorSpec(name="x", datatype=DataType.FP32, shape=(-1, 1 << 14, 1 << 14))
    with pytest.raises(InferenceFailed, match="268435456 elements is too big to be tried"):
        make_rows([spec], Guess({"x": (1, 1 << 14, 1 << 14)}, 0, 10, ("red",)))
