"""Rows of drawn values for a graph's inputs: ordinary ones first, then their company, each of another kind."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from inference.errors import InferenceFailed
from inference.manifest import TensorSpec
from inference.proving.independence import COMPARED
from inference.values import Array, DataType, Tensors


class Guess(NamedTuple):
    """The size of each axis of every input, and the range of its values."""

    shapes: dict[str, tuple[int, ...]]
    low: int
    high: int
    words: tuple[str, ...]


WORDS = ("good", "1.5", "bad", "2", "a longer text than the others", "0.25")

MOST_ELEMENTS = 1 << 27
"""Of all rows together: 1 GB while they are made."""

NUMBERS = ("1.5", "2", "0.25", "-3", "40", "7")


def make_rows(inputs: Sequence[TensorSpec], guess: Guess) -> tuple[Tensors, ...]:
    """Rows by seeded chance: ordinary ones, then their company, each of another kind.

    `InferenceFailed` where they would take gigabytes, whatever the graph would say.
    """
    generator = np.random.default_rng(0)
    whole = any(spec.datatype.dtype.kind in "iu" for spec in inputs)
    kinds = len(_COMPANY) if whole else len(_COMPANY) - 1
    elements = sum(prod(guess.shapes[spec.name]) for spec in inputs)
    if elements * (COMPARED + kinds) > MOST_ELEMENTS:
        raise InferenceFailed(
            f"an input of {elements} elements is too big to be tried, "
            f"expected at most {MOST_ELEMENTS // (COMPARED + kinds)}"
        )
    return tuple(
        {spec.name: _values(spec, guess, place, generator) for spec in inputs}
        for place in range(COMPARED + kinds)
    )


def _values(spec: TensorSpec, guess: Guess, place: int, generator: np.random.Generator) -> Array:
    shape, datatype = guess.shapes[spec.name], spec.datatype
    company = _COMPANY[place - COMPARED] if place >= COMPARED else None
    if datatype is DataType.BYTES:
        words = np.array(
            [guess.words[(place + step) % len(guess.words)] for step in range(_size(shape))], object
        )
        return words.reshape(shape)
    if datatype is DataType.BOOL:
        if company in (_zeros, _huge):
            return np.full(shape, company is _huge)
        flags = generator.random(shape) < 0.5
        if flags.size:  # of a single flag chance may draw the same for all rows
            flags.flat[0] = place % 2
        return flags
    if datatype is DataType.BF16:
        return (_floats(shape, place, generator).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if datatype.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float16 ends at 65,504: behind it is inf, which is company too
            return _floats(shape, place, generator).astype(datatype.dtype)
    if datatype is DataType.UINT8:  # an image's samples
        return generator.integers(0, 1 if company is _zeros else 256, shape).astype(np.uint8)
    if company is _past_ids:
        return _big_whole(shape, datatype.dtype, generator)
    values = generator.integers(guess.low, guess.high, shape)
    if values.size:  # of a single number a range of two would often draw the same for all rows
        values.flat[0] = guess.low + place % (guess.high - guess.low)
    return values.astype(datatype.dtype)


def _zeros(shape: Sequence[int], generator: np.random.Generator) -> Array:
    return np.zeros(shape)


def _huge(shape: Sequence[int], generator: np.random.Generator) -> Array:
    values = 1e6 * (1 + generator.random(shape))
    values.flat[1::2] *= -1
    return values


def _nans(shape: Sequence[int], generator: np.random.Generator) -> Array:
    return np.full(shape, np.nan)


def _infinities(shape: Sequence[int], generator: np.random.Generator) -> Array:
    values = np.full(shape, -np.inf)
    values.flat[1::2] = np.inf
    return values


def _past_ids(shape: Sequence[int], generator: np.random.Generator) -> Array:
    return generator.standard_normal(shape)


def _big_whole(shape: Sequence[int], dtype: np.dtype[Any], generator: np.random.Generator) -> Array:
    """Numbers past a byte's, and of either sign; of ids and lengths not much larger, and none below 0.

    Not every kernel checks that an id is inside its table.
    """
    known = np.iinfo(dtype)
    if dtype in (np.int32, np.int64):
        return generator.integers(256, 1000, shape).astype(dtype)
    return generator.integers(max(known.min, -(1 << 31)), min(known.max, 1 << 31), shape).astype(dtype)


# The company of a row: numbers that a scale over the batch would follow, an image's samples, zeros, numbers past any
# threshold. Then NaN and infinity, which a sum or a largest number over the batch would hand on. The last is for whole
# numbers, and has its own place since a table takes no ids past its end.
_COMPANY: tuple[Callable[[Sequence[int], np.random.Generator], Array], ...] = (
    lambda shape, generator: 50 * generator.standard_normal(shape),
    lambda shape, generator: generator.integers(0, 256, shape).astype(np.float64),
    _zeros,
    _huge,
    _nans,
    _infinities,
    _past_ids,
)


def _floats(shape: Sequence[int], place: int, generator: np.random.Generator) -> Array:
    if place >= COMPARED:
        return _COMPANY[place - COMPARED](shape, generator)
    return generator.random(shape) if place == 1 else generator.standard_normal(shape)


def _size(shape: Sequence[int]) -> int:
    return int(np.prod(shape))
