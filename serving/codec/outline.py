"""The head of a large request: its JSON without the lists of elements, which are left where they stand.

The lists are cut out of the text before it is parsed, and parsed later, in pieces and only if the head is accepted.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from inference.errors import InputTooLarge, InvalidInput, counted
from serving.codec.long_elements import LongList
from serving.codec.request import RequestHead, parse_head
from serving.codec.scan import WINDOW, Pace, end_of_list, find

MAX_REST_BYTES = 1 << 20
"""Of a large request's JSON without its long lists: a millisecond or two of parsing."""

_NO_ELEMENTS = b"[]"
_BEFORE_LIST = re.compile(rb"\s*:\s*\[")
_BYTE = re.compile(r"\(byte (\d+)\)")
_MOST_SPACE = 256  # between a name and its list


class Cut(NamedTuple):
    """A list that was cut out of a text: `text[start:end]` without the brackets, and its place in the rest."""

    start: int
    end: int
    commas: int
    place: int


def outline(text: memoryview, pace: Pace, *, strict: bool = False, size: int = WINDOW) -> RequestHead:
    """The head of a request whose JSON is `text`; the `data` of each input is a `LongList`.

    Errors are those of `parse_head`. A text that is large without them is refused: `InputTooLarge`.
    """
    rest, cuts = cut_lists(text, b'"data"', pace, size)
    try:
        head = parse_head(rest, strict=strict)
    except InvalidInput as error:
        raise _of_whole(error, rest, text, cuts) from None
    by_place = {cut.place: cut for cut in cuts}
    for tensor in head.inputs:
        cut = (
            by_place.pop(place_of(tensor.data, rest), None) if isinstance(tensor.data, msgspec.Raw) else None
        )
        if cut is not None:
            data = LongList(text, cut.start, cut.end, cut.commas, pace, strict=strict, size=size)
            tensor.data = data  # type: ignore[assignment]  # `decode_elements` takes both
    for cut in by_place.values():
        actual = f"a list of {counted(cut.end - cut.start, 'byte')} named data that no input has"
        raise InvalidInput("body", actual, "data in inputs alone, and once in each")
    return head


def cut_lists(
    text: memoryview, name: bytes, pace: Pace, size: int = WINDOW, most: int = 0
) -> tuple[bytes, list[Cut]]:
    """The text with `[]` in the place of each list that is a value of `name`, and where those lists are.

    `most`: of them, 0 for all.
    """
    parts: list[bytes] = []
    cuts: list[Cut] = []
    kept = at = length = 0
    while not most or len(cuts) < most:
        at = find(text, name, at, pace, size)
        if at < 0:
            break
        opening = _BEFORE_LIST.match(bytes(text[at + len(name) : at + len(name) + _MOST_SPACE]))
        if opening is None or (
            at and bytes(text[at - 1 : at]) == b"\\"
        ):  # a text in which the name stands in quotes
            at += len(name)
            continue
        start = at + len(name) + opening.end()
        end, commas = end_of_list(text, start, pace, size)
        if end < 0:
            raise InvalidInput("body", f"{counted(len(text), 'byte')} (Input data was truncated)", "JSON")
        if text[end] != ord("]"):
            said = f"JSON is malformed: expected ',' or ']' (byte {end})"
            raise InvalidInput("body", f"{counted(len(text), 'byte')} ({said})", "JSON")
        parts.append(_rest(text, kept, start - 1, length))
        length += len(parts[-1])
        cuts.append(Cut(start, end, commas, length))
        parts.append(_NO_ELEMENTS)
        length += len(_NO_ELEMENTS)
        kept = at = end + 1
    parts.append(_rest(text, kept, len(text), length))
    return b"".join(parts), cuts


def _of_whole(error: InvalidInput, rest: bytes, text: memoryview, cuts: Sequence[Cut]) -> InvalidInput:
    """A fault of the rest that names its bytes, in those of the whole text."""
    size = counted(len(rest), "byte")
    if error.field != "body" or not str(error.actual).startswith(size):
        return error

    def moved(found: re.Match[str]) -> str:
        place = int(found[1])
        return f"(byte {place + sum(cut.end - cut.start for cut in cuts if cut.place < place)})"

    said = _BYTE.sub(moved, str(error.actual).removeprefix(size))
    return InvalidInput("body", f"{counted(len(text), 'byte')}{said}", error.expected)


def place_of(raw: msgspec.Raw, text: bytes) -> int:
    """Where in the text that was parsed a part of it begins; -1 for a part of none."""
    view = memoryview(raw)
    if not len(view):
        return -1
    return _address(view) - _address(memoryview(text))


def _address(view: memoryview) -> int:
    address: int = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    return address


def _rest(text: memoryview, start: int, end: int, before: int) -> bytes:
    if before + end - start > MAX_REST_BYTES:
        actual = f"{counted(before + end - start, 'byte')} of JSON or more beside the long lists"
        raise InputTooLarge("body", actual, f"at most {MAX_REST_BYTES}")
    return bytes(text[start:end])
