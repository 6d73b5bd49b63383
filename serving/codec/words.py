"""The numbers that JSON has no word for, as Python, RapidJSON and Triton write them: NaN, Infinity, -Infinity."""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from inference.errors import InvalidInput
from inference.values import Array

# A string is taken whole, closed or not, so that no word in it counts and each byte is looked at once.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|NaN|-?Infinity', re.DOTALL)


def has_words(text: bytes) -> bool:
    """Whether it may hold one of the words; in a string it means nothing."""
    return b"NaN" in text or b"Infinity" in text


def nulled(text: bytes) -> bytes:
    """JSON with null in the place of each word."""
    return _TOKENS.sub(lambda token: token[0] if token[0][:1] == b'"' else b"null", text)


def zeroed(text: bytes) -> bytes:
    """JSON of the same length with 0 in the place of each word, a float."""
    return _TOKENS.sub(lambda token: _zero(token[0]), text)


def parse_words(text: bytes) -> Any:
    """JSON with such words as Python values; `InvalidInput` where it is none."""
    try:
        return json.loads(str(text, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput("body", f"{len(text)} bytes ({error})", "JSON") from None


def write_words(text: bytes, array: Array) -> bytes:
    """A JSON list of the numbers in `array`, with the words where `text`, the same list in strict JSON, has null."""
    pieces = text.split(b"null")
    words = [_word(number) for number in array[~np.isfinite(array)].tolist()]
    return b"".join(_zipped(pieces, words))


def _zipped(pieces: Sequence[bytes], words: Sequence[bytes]) -> list[bytes]:
    """Piece, word, piece, …, piece."""
    woven = [b""] * (2 * len(words) + 1)
    woven[::2], woven[1::2] = pieces, words
    return woven


def _zero(token: bytes) -> bytes:
    if token[:1] == b'"':
        return token
    return (b"-0." if token[:1] == b"-" else b"0.").ljust(len(token), b"0")


def _word(number: float) -> bytes:
    if number != number:
        return b"NaN"
    return b"Infinity" if number > 0 else b"-Infinity"
