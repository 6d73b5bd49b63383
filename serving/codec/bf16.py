"""BF16 as the upper half of a float32, which is how both the wire and the graph hold it."""

import numpy as np

from inference.values import Array


def narrow(array: Array) -> Array:
    """float32 → the upper 16 bits, cut off as Triton's client cuts them."""
    return (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def widen(array: Array) -> Array:
    """The upper 16 bits → float32, exactly."""
    return (array.astype(np.uint32) << 16).view(np.float32)
