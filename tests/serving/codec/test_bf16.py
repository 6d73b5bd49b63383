"""BF16: each number is the nearest there is, and what is no number stays none."""

import math

import numpy as np
import pytest

from serving.codec.bf16 import narrow, widen


def test_what_is_not_a_number_stays_so() -> None:
    bits = np.array([0x7F800001, 0xFFFFFFFF, 0x7FC00000, 0xFF800000, 0x7F800000], np.uint32)
    narrowed = widen(narrow(bits.view(np.float32)))
    assert np.isnan(narrowed[:3]).all()
    assert narrowed[3:].tolist() == [-math.inf, math.inf]


def test_a_number_is_nearer_than_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=10_000).astype(np.float32)
    bits = narrow(numbers)
    off = np.abs(widen(bits) - numbers)
    assert (off <= np.abs(widen(bits + np.uint16(1)) - numbers)).all()
    assert (off <= np.abs(widen(bits - np.uint16(1)) - numbers)).all()


@pytest.mark.parametrize(
    ("number", "bits"),
    [(1.0, 0x3F80), (-2.5, 0xC020), (1.0 + 2**-8, 0x3F80), (1.0 + 3 * 2**-8, 0x3F82), (3.4e38, 0x7F80)],
    ids=["exact", "negative", "tie down", "tie up", "past the largest"],
)
def test_ties_go_to_the_even_one_and_the_too_large_to_infinity(number: float, bits: int) -> None:
    assert narrow(np.array([number], np.float32)).tolist() == [bits]


def test_each_of_its_patterns_comes_back_as_it_was() -> None:
    patterns = np.arange(0x7F81, dtype=np.uint16)  # of all that are no NaN, half: the other has a sign
    assert np.array_equal(narrow(widen(patterns)), patterns)
