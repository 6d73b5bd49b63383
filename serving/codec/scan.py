"""Where elements and lists end in JSON that is looked at a window at a time, so that no look takes long.

A parser holds the interpreter for the whole of a text. NumPy looks at a window of it in some 0.1 ms, and lets go of the
interpreter meanwhile. Nothing is checked here: the elements that are found are parsed by `msgspec`, as ever.
"""

from collections.abc import Callable, Iterator

import numpy as np

from inference.values import Array

Pace = Callable[[], None]
"""Called between two pieces of long work: lets others have the interpreter, and raises where nobody waits any more."""

WINDOW = 64 * 1024
"""Bytes that are looked at, or parsed, at once: 0.2 ms of msgspec, numbers and all."""

_QUOTE, _BACKSLASH, _COMMA = (ord(character) for character in '"\\,')
_OPEN, _CLOSE = 1, 2
_KIND: Array = np.zeros(256, np.uint8)
_KIND[[ord("["), ord("{")]] = _OPEN
_KIND[[ord("]"), ord("}")]] = _CLOSE
_KIND[_COMMA] = 3
_STEP: Array = np.array([0, 1, -1, 0], np.int64)  # of depth, by kind


def unpaced() -> None:
    """The pace of work that nobody waits for."""


class Marks:
    """Commas and brackets outside of strings, a window after the other; `depth` is that behind the last window."""

    __slots__ = ("_escaped", "_quoted", "depth")

    def __init__(self) -> None:
        """At the beginning of an element."""
        self.depth = 0
        self._quoted = self._escaped = False

    def of(self, window: Array) -> tuple[Array, Array, Array]:
        """Of the marks in uint8 [bytes]: the places, the kinds, and the depths behind them."""
        kinds = _KIND[window]
        quotes = self._quotes(window)
        if len(quotes) or self._quoted:
            inside = np.zeros(len(window), np.uint8)
            inside[quotes] = 1
            inside = (np.cumsum(inside, dtype=np.uint8) & 1).view(np.bool_)
            kinds[~inside if self._quoted else inside] = 0
            self._quoted ^= bool(len(quotes) & 1)
        places = np.flatnonzero(kinds)
        found = kinds[places]
        depths = self.depth + np.cumsum(_STEP[found])
        if len(depths):
            self.depth = int(depths[-1])
        return places, found, depths

    def strings(self, window: Array) -> Array:
        """The places of the quotes that begin and end strings, int64, by turns."""
        return self._quotes(window)

    def _quotes(self, window: Array) -> Array:
        quotes = np.flatnonzero(window == _QUOTE)
        slashes = np.flatnonzero(window == _BACKSLASH)
        if not len(slashes) and not self._escaped:
            return quotes
        escaped = self._escapes(slashes, len(window))
        return quotes[~np.isin(quotes, escaped, assume_unique=True)] if len(escaped) else quotes

    def _escapes(self, slashes: Array, size: int) -> Array:
        """The places behind an odd number of backslashes; a run of them may have begun in the window before."""
        begun, self._escaped = self._escaped, False
        first = np.array([0] if begun and not (len(slashes) and slashes[0] == 0) else [], np.int64)
        if not len(slashes):
            return first
        breaks = np.flatnonzero(np.diff(slashes) != 1)
        starts = slashes[np.concatenate(([0], breaks + 1))]
        ends = slashes[np.concatenate((breaks, [len(slashes) - 1]))] + 1
        lengths = ends - starts
        if begun and starts[0] == 0:
            lengths[0] += 1
        escaped = ends[lengths % 2 == 1]
        if len(escaped) and escaped[-1] == size:
            self._escaped, escaped = True, escaped[:-1]
        return np.concatenate((first, escaped))


def windows(
    text: memoryview, start: int, end: int, pace: Pace, size: int = WINDOW
) -> Iterator[tuple[int, Array]]:
    """`text` from `start` to `end`, uint8 [at most `size`] at a time, each with its place."""
    for at in range(start, end, size):
        yield at, np.frombuffer(text[at : min(at + size, end)], np.uint8)
        pace()


def end_of_list(text: memoryview, start: int, pace: Pace, size: int = WINDOW) -> tuple[int, int]:
    """Of the list whose elements begin at `start`: the place of the bracket that ends it, and the commas between them.

    The place is -1 where nothing ends it.
    """
    marks, commas = Marks(), 0
    for at, window in windows(text, start, len(text), pace, size):
        places, kinds, depths = marks.of(window)
        (ended,) = np.nonzero(depths < 0)
        if len(ended):
            last = int(ended[0])
            commas += int(((kinds[:last] == 3) & (depths[:last] == 0)).sum())
            return at + int(places[last]), commas
        commas += int(((kinds == 3) & (depths == 0)).sum())
    return -1, commas


def find(text: memoryview, sought: bytes, start: int, pace: Pace, size: int = WINDOW) -> int:
    """The first place of `sought` at or behind `start`; -1 where there is none."""
    for at in range(start, len(text), size):
        found = bytes(text[at : at + size + len(sought) - 1]).find(sought)
        if found >= 0:
            return at + found
        pace()
    return -1


def elements(
    text: memoryview, start: int, end: int, pace: Pace, size: int = WINDOW
) -> Iterator[tuple[int, int, bool]]:
    """The elements of a list, as many at a time as `size` bytes hold: where they begin and end, and whether it is one
    that is longer than that.

    Between them lie single commas; the last may be empty, as behind a comma too many.
    """
    while end - start > size:
        piece = bytes(text[start : start + size])
        cut = piece.rfind(b",") if _is_plain(piece) else _last_comma(piece)
        if cut >= 0:
            yield start, start + cut, False
            start += cut + 1
        else:
            after = _next_comma(text, start, end, pace, size)
            yield start, after, True
            if after == end:
                return
            start = after + 1
        pace()
    yield start, end, False


def _is_plain(piece: bytes) -> bool:
    """Whether it holds neither strings nor lists, as numbers do; looked for at memory's pace."""
    return b'"' not in piece and b"[" not in piece and b"{" not in piece


def _last_comma(piece: bytes) -> int:
    places, kinds, depths = Marks().of(np.frombuffer(piece, np.uint8))
    between = places[(kinds == 3) & (depths == 0)]
    return int(between[-1]) if len(between) else -1


def _next_comma(text: memoryview, start: int, end: int, pace: Pace, size: int) -> int:
    marks = Marks()
    for at, window in windows(text, start, end, pace, size):
        places, kinds, depths = marks.of(window)
        between = places[(kinds == 3) & (depths == 0)]
        if len(between):
            return at + int(between[0])
    return end


_SPACE = b" \t\r\n"


def trimmed(text: memoryview, start: int, end: int, size: int = WINDOW) -> tuple[int, int]:
    """Where the text from `start` to `end` begins and ends without the white space around it."""
    while start < end:
        head = bytes(text[start : min(start + size, end)])
        kept = head.lstrip(_SPACE)
        start += len(head) - len(kept)
        if kept:
            break
    while start < end:
        tail = bytes(text[max(end - size, start) : end])
        kept = tail.rstrip(_SPACE)
        end -= len(tail) - len(kept)
        if kept:
            break
    return start, end
