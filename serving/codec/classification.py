"""The classification extension: an output's largest elements, as `value:index:label` texts."""

from collections.abc import Sequence
from math import prod

import numpy as np

from inference.errors import InvalidInput, counted
from inference.values import Array, DataType
from serving.codec.scan import Pace, unpaced

MAX_ELEMENTS = 1_000_000  # every row is sorted whole
_PACED = 2048  # entries a millisecond
_REFUSED = (DataType.BYTES, DataType.FP16, DataType.BF16)


def check_classification(datatype: DataType, field: str) -> None:
    """Refuse output types that cannot be ranked."""
    if datatype in _REFUSED:
        raise InvalidInput(field, f"an output of {datatype}", "an output of numbers, not FP16 or BF16")


def classify(
    array: Array, count: int, labels: Sequence[str], *, batched: bool, field: str, pace: Pace = unpaced
) -> Array:
    """The `count` largest elements of each row, highest first: BYTES [rows, k], or [k] without a batch axis.

    `pace` is called between pieces of long work.
    Values are printed as C++ `to_string` prints them, six decimals for floats, since clients parse that.
    """
    rows = array.reshape(array.shape[0] if batched else 1, -1)
    if rows.size > MAX_ELEMENTS:
        elements = counted(prod(array.shape), "element")
        raise InvalidInput(field, f"an output of {elements}", f"at most {MAX_ELEMENTS}")
    texts = np.array([_row(row, count, labels, pace) for row in rows], dtype=np.object_)
    return texts if batched else texts[0]


def _row(row: Array, count: int, labels: Sequence[str], pace: Pace) -> list[str]:
    # Sorted upwards from behind, so that of equals the first comes first, and no type has to be negated.
    order = row.size - 1 - np.argsort(row[::-1], kind="stable")[::-1][:count]
    pace()
    entries: list[str] = []
    for start in range(0, len(order), _PACED):
        entries += [_entry(row[index].item(), int(index), labels) for index in order[start : start + _PACED]]
        pace()
    return entries


def _entry(value: float | int | bool, index: int, labels: Sequence[str]) -> str:
    number = f"{value:.6f}" if isinstance(value, float) else str(int(value))
    return f"{number}:{index}:{labels[index]}" if index < len(labels) else f"{number}:{index}"
