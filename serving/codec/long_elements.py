"""The elements of a long list of a tensor's JSON, decoded a piece at a time into the array that they are to be.

A list of 64 MB is 16 to 32 million numbers: parsed at once, it keeps everybody waiting for seconds, and takes ten times
its size as Python's objects. A piece of 64 KiB takes 0.3 ms, and its objects are gone with the next.

Arrays and errors are those of `serving.codec.elements`, whose functions decode each piece. Only where two things are
wrong may the other of them be named.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np

from inference.errors import InvalidInput, counted
from inference.values import Array, DataType
from serving.codec.elements import Deferred, convert, depth_of, flatten, nested_decoder, pack, python_type
from serving.codec.json_faults import mismatch, of_whole, piece_fault
from serving.codec.long_strings import decode_string
from serving.codec.nonfinite import may_hold_nonfinite, parse_nonfinite
from serving.codec.request import strict_fault
from serving.codec.scan import WINDOW, Pace, elements, trimmed

_FLAT = (0,)  # the shape of a list without lists in it


class LongList(Deferred):
    """Where in a request's JSON the elements of a tensor stand: `text[start:end]`, without the outer brackets."""

    __slots__ = ("commas", "end", "pace", "size", "start", "strict", "text")

    def __init__(
        self,
        text: memoryview,
        start: int,
        end: int,
        commas: int,
        pace: Pace,
        *,
        strict: bool = False,
        size: int = WINDOW,
    ) -> None:
        """`commas` between its elements. `size`: bytes that are parsed at once. `strict`: without NaN and Infinity."""
        self.text, self.start, self.end, self.commas = text, start, end, commas
        self.pace, self.size, self.strict = pace, size, strict

    def decode(self, datatype: DataType, shape: Sequence[int], field: str) -> Array:
        """The array of `shape`, as `decode_elements` has it."""
        nested = bytes(self.text[self.start : self.start + 15]).translate(None, b" \t\r\n").startswith(b"[")
        depth = max(1, depth_of(shape, field)) if nested else 1
        return _Decoding(self, datatype, shape, field).decode(depth)

    def most_elements(self) -> int:
        """Elements that it can have at most: each but the last has a byte and a comma."""
        return (self.end - self.start + 1) // 2


class _Decoding:
    """One `LongList` on its way into an array."""

    def __init__(self, source: LongList, datatype: DataType, shape: Sequence[int], field: str) -> None:
        self._source, self._datatype, self._shape, self._field = source, datatype, shape, field
        self._python = python_type(datatype)
        self._got = 0
        fits = prod(shape) <= source.most_elements()
        self._array: Array | None = np.empty(prod(shape), datatype.dtype) if fits else None
        # Faults that another, behind them, goes before.
        self._out_of_range: InvalidInput | None = None
        self._no_whole_number: InvalidInput | None = None

    def decode(self, depth: int) -> Array:
        """The array; `depth` is how many levels of lists there are, 1 for a flat one."""
        source, shape = self._source, self._shape
        if depth > 1:
            self._rows(source.start, source.end, shape, "")
        elif source.commas and source.commas + 1 != prod(shape):
            raise self._miscounted(source.commas + 1)
        else:
            self._flat(source.start, source.end, "")
        if self._got != prod(shape) or self._array is None:
            raise self._miscounted(self._got)
        if self._out_of_range is not None:
            raise self._out_of_range
        return self._array.reshape(shape)

    def _flat(self, start: int, end: int, path: str) -> int:
        """Elements that are no lists; how many."""
        source, before = self._source, self._got
        for begin, stop, is_long in elements(source.text, start, end, source.pace, source.size):
            place = self._got - before
            if is_long and self._python is str and _first(source.text, begin, stop) == b'"':
                field = f"{self._field}{path}[{place}]"
                self._take([decode_string(source.text, begin, stop, source.pace, field, source.size)])
            else:
                is_part = begin > start or stop < end
                self._parse(begin, stop, _FLAT, path, place, is_part=is_part)
        return self._got - before

    def _rows(self, start: int, end: int, shape: Sequence[int], path: str) -> int:
        """Lists of `shape[1:]`; how many."""
        source, rows = self._source, 0
        for begin, stop, is_long in elements(source.text, start, end, source.pace, source.size):
            inside = _inside(source.text, begin, stop) if is_long else None
            if inside is None:
                is_part = begin > start or stop < end
                rows += self._parse(begin, stop, shape, path, rows, is_part=is_part)
                continue
            below = f"{path}[{rows}]"
            got = self._flat(*inside, below) if len(shape) == 2 else self._rows(*inside, shape[1:], below)
            if got != shape[1]:
                axis = len(self._shape) - len(shape) + 1
                raise InvalidInput(self._field, f"a list of {got} at axis {axis}", f"{shape[1]}, as in shape")
            rows += 1
        return rows

    def _parse(
        self, begin: int, stop: int, shape: Sequence[int], path: str, first: int, *, is_part: bool
    ) -> int:
        """Take a piece of whole elements, lists of `shape[1:]`; how many. One that is a part is not empty."""
        source, field, depth = self._source, f"{self._field}{path}", len(shape)
        piece = bytes(source.text[begin:stop])
        text = b"[%b]" % piece
        try:
            nested: list[Any] = nested_decoder(self._python, depth).decode(text)
            if not nested and is_part:
                msgspec.json.decode(b"[0,%b]" % piece)  # raises: there is nothing behind a comma
            values: Sequence[Any] = self._flattened(nested, shape)
        except msgspec.ValidationError as error:
            fault = mismatch(error, field, text, first)
            if self._python is not int:
                raise fault from None
            nested, values = self._whole_numbers(text, shape, fault)
        except msgspec.DecodeError as error:
            if not may_hold_nonfinite(piece):
                raise piece_fault(error, text, begin - 1, len(source.text), field, first) from None
            if source.strict:
                raise strict_fault(of_whole(error, begin - 1), len(source.text)) from None
            nested = parse_nonfinite(text)
            values = convert(nested, self._datatype, shape, field, first)
        self._take(values)
        return len(nested)

    def _whole_numbers(
        self, text: bytes, shape: Sequence[int], fault: InvalidInput
    ) -> tuple[list[Any], list[int]]:
        """Whole numbers written as 1.0; `fault` is that of the first number that is not written as one."""
        self._no_whole_number = self._no_whole_number or fault
        try:
            nested = nested_decoder(float, len(shape)).decode(text)
        except msgspec.DecodeError:
            raise self._no_whole_number from None
        floats = self._flattened(nested, shape)
        if not all(map(float.is_integer, floats)):
            raise self._no_whole_number
        return nested, [int(value) for value in floats]

    def _flattened(self, nested: list[Any], shape: Sequence[int]) -> list[Any]:
        outer = len(self._shape) - len(shape) if len(shape) > 1 else 0
        return flatten(nested, shape, self._field, outer)

    def _take(self, values: Sequence[Any]) -> None:
        """The next elements, in row-major order."""
        begin, self._got = self._got, self._got + len(values)
        if self._array is None or self._got > len(self._array) or self._out_of_range is not None:
            return
        try:
            packed = pack(values, self._datatype, self._field, once=True)
        except InvalidInput as error:
            self._out_of_range = error
        else:
            self._array[begin : self._got] = packed

    def _miscounted(self, got: int) -> InvalidInput:
        expected = f"{prod(self._shape)}, the product of shape {list(self._shape)}"
        return InvalidInput(self._field, counted(got, "element"), expected)


def _first(text: memoryview, begin: int, stop: int) -> bytes:
    """The first byte of an element."""
    start, _ = trimmed(text, begin, stop)
    return bytes(text[start : start + 1])


def _inside(text: memoryview, begin: int, stop: int) -> tuple[int, int] | None:
    """Where the elements of a list begin and end; None where it is no list."""
    start, end = trimmed(text, begin, stop)
    brackets = bytes(text[start : start + 1]) + bytes(text[end - 1 : end])
    return (start + 1, end - 1) if brackets == b"[]" else None
