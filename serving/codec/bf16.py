"""BF16 as the upper half of a float32, which is how both the wire and the graph hold it."""

import numpy as np

from inference.values import Array

_ROUND = np.uint32(0x7FFF)
# Of a NaN's upper half: without it one that is told from infinity in the lower half alone would become infinite.
_QUIET = np.uint32(0x40)


def narrow(array: Array) -> Array:
    """float32 → its upper 16 bits, rounded to nearest, ties to even, as ml_dtypes does; past the largest: infinite."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    upper = bits >> 16
    rounded = (bits + _ROUND + (upper & 1)) >> 16
    return np.where(np.isnan(bits.view(np.float32)), upper | _QUIET, rounded).astype(np.uint16)


def widen(array: Array) -> Array:
    """The upper 16 bits → float32, exactly."""
    return (array.astype(np.uint32) << 16).view(np.float32)
