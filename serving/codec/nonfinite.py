"""NaN, Infinity and -Infinity in JSON, which has no word for them: as Python, RapidJSON and Triton write them."""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from inference.errors import InvalidInput, counted
from inference.values import Array

# A string is taken whole, closed or not, so that no word in it counts and each byte is looked at once.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|NaN|-?Infinity', re.DOTALL)


def may_hold_nonfinite(text: bytes) -> bool:
    """Whether one of the words is in it, if only in a string, where it means nothing."""
    return b"NaN" in text or b"Infinity" in text


def with_null(text: bytes) -> bytes:
    """JSON with null in the place of each word."""
    return _TOKENS.sub(lambda token: token[0] if token[0][:1] == b'"' else b"null", text)


def with_zero(text: bytes) -> bytes:
    """JSON of the same length with 0 in the place of each word, a float."""
    return _TOKENS.sub(lambda token: _zero(token[0]), text)


def parse_nonfinite(text: bytes) -> Any:
    """JSON with such words as Python values; `InvalidInput` where it is none."""
    try:
        return json.loads(str(text, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput("body", f"{counted(len(text), 'byte')} ({error})", "JSON") from None


def write_nonfinite(text: bytes, array: Array) -> bytes:
    """A JSON list of the numbers in `array`, with the words where `text`, the same list in strict JSON, has null."""
    pieces = text.split(b"null")
    words = [_word(number) for number in array[~np.isfinite(array)].tolist()]
    return b"".join(_alternating(pieces, words))


def _alternating(pieces: Sequence[bytes], words: Sequence[bytes]) -> list[bytes]:
    """Piece, word, piece, …, piece."""
    joined = [b""] * (2 * len(words) + 1)
    joined[::2], joined[1::2] = pieces, words
    return joined


def _zero(token: bytes) -> bytes:
    """A word's own length in digits, since errors name places in the body by their byte."""
    if token[:1] == b'"':
        return token
    return (b"-0." if token[:1] == b"-" else b"0.").ljust(len(token), b"0")


def _word(number: float) -> bytes:
    if number != number:
        return b"NaN"
    return b"Infinity" if number > 0 else b"-Infinity"
