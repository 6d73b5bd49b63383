"""A long string of JSON, decoded a piece at a time: its text, or the bytes that its base64 stands for."""

import binascii
import re
from collections.abc import Iterator

import msgspec

from inference.errors import InvalidInput
from serving.codec.json_faults import piece_fault
from serving.codec.scan import WINDOW, Pace, trimmed

_SHOWN = 200  # characters of a string at fault that an error is given, which repeats fewer

# Whole characters and escapes; half of a surrogate pair is none, so that a pair stays in one piece.
_WHOLE = re.compile(
    rb"(?:[^\\]+|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})*+",
    re.DOTALL,
)
_decode = msgspec.json.Decoder(str).decode


def decode_string(text: memoryview, start: int, end: int, pace: Pace, field: str, size: int = WINDOW) -> str:
    """The string whose quotes begin at `start` and end before `end`; white space may stand around it."""
    return "".join(_pieces(text, start, end, pace, field, size))


def decode_base64(
    text: memoryview, start: int, end: int, pace: Pace, field: str, size: int = WINDOW
) -> bytes:
    """The bytes of a string in base64, as `base64.b64decode` with `validate` gives them."""
    parts: list[bytes] = []
    shown = rest = ""
    for piece in _pieces(text, start, end, pace, field, size):
        shown = shown if len(shown) >= _SHOWN else (shown + piece)[:_SHOWN]
        piece = rest + piece
        whole = (
            len(piece) // 4 * 4 - 4 if len(piece) >= 8 else 0
        )  # the last four may be padded, and wait for the end
        if whole:
            parts.append(_of_base64(piece[:whole], shown, field))
            if len(parts[-1]) != whole // 4 * 3:
                raise _no_base64("Excess data after padding", shown, field)
        rest = piece[whole:]
    parts.append(_of_base64(rest, shown, field))
    return b"".join(parts)


def _of_base64(piece: str, shown: str, field: str) -> bytes:
    try:
        return binascii.a2b_base64(piece, strict_mode=True)
    except ValueError as error:  # binascii.Error is one, and so is the complaint of letters outside ASCII
        raise _no_base64(str(error), shown, field) from None


def _no_base64(reason: str, shown: str, field: str) -> InvalidInput:
    return InvalidInput(field, shown, f"base64 ({reason})")


def _pieces(text: memoryview, start: int, end: int, pace: Pace, field: str, size: int) -> Iterator[str]:
    """The string, some `size` bytes of JSON at a time."""
    begin, stop = trimmed(text, start, end)
    begin, stop = begin + 1, stop - 1
    while begin < stop:
        piece = bytes(text[begin : min(begin + size, stop)])
        if begin + len(piece) < stop:
            piece = piece[: _cut(piece)] or bytes(text[begin:stop])
        try:
            yield _decode(b'"%b"' % piece)
        except msgspec.DecodeError as error:
            raise piece_fault(error, b'"%b"' % piece, begin - 1, len(text), field) from None
        begin += len(piece)
        pace()


def _cut(piece: bytes) -> int:
    """How much of it is whole characters and escapes; 0 where none is."""
    cut = len(piece)
    if b"\\" in piece[-12:]:
        whole = _WHOLE.match(piece)
        cut = whole.end() if whole else 0
    # A character's first byte says how many follow: the last may be cut, and then begins the next piece.
    for back in range(1, min(4, cut) + 1):
        first = piece[cut - back]
        if first < 0x80:
            return cut
        if first >= 0xC0:
            return cut - back if back < (2 if first < 0xE0 else 3 if first < 0xF0 else 4) else cut
    return cut
