"""The instances of a large JSON body, decoded a few at a time; a long string in one of them a piece at a time.

No task takes long lists in an instance, so those are bounded: all of an instance beside its long strings is at most
`MAX_INSTANCE_BYTES`, as the rest of the body is.
"""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from inference.errors import InputTooLarge, InvalidInput, counted
from inference.values import JsonValue, Payload
from serving.codec.json_faults import piece_fault
from serving.codec.long_strings import decode_base64, decode_string
from serving.codec.outline import Cut, cut_lists, place_of
from serving.codec.scan import WINDOW, Marks, Pace, elements, trimmed, windows

MAX_INSTANCE_BYTES = 1 << 20
"""Of an instance in a large body, beside its long strings."""

LONG_STRING_BYTES = 4096
"""Over which a string is decoded by itself."""

OCTETS = "application/octet-stream"
_decode = msgspec.json.Decoder(list[Any]).decode


class _Named(msgspec.Struct, gc=False):
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Long(NamedTuple):
    """A long string in the text, with its quotes."""

    start: int
    end: int


def long_payloads(
    text: memoryview, limit: int, pace: Pace, *, takes_bytes: bool, size: int = WINDOW
) -> tuple[bytes, list[Payload]] | None:
    """The body without its instances, and a payload for each; None where it has no list of instances to be cut.

    `takes_bytes`: the task reads `{"b64": …}` as bytes. Errors are those of `decode_payloads`.
    """
    rest, cuts = cut_lists(text, b'"instances"', pace, size, most=1)
    if not cuts or not _is_taken(cuts[0], rest):
        return None
    (cut,) = cuts
    start, end = trimmed(text, cut.start, cut.end)
    if start == end:
        raise InvalidInput("instances", "an empty list", "at least one instance")
    if cut.commas >= limit:
        raise InputTooLarge("instances", counted(cut.commas + 1, "instance"), f"at most {limit}")
    return rest, _Reading(text, cut, pace, size, takes_bytes=takes_bytes).payloads()


class _Reading:
    """The instances of one body."""

    def __init__(self, text: memoryview, cut: Cut, pace: Pace, size: int, *, takes_bytes: bool) -> None:
        self._text, self._cut, self._pace, self._size = text, cut, pace, size
        self._takes_bytes = takes_bytes

    def payloads(self) -> list[Payload]:
        """A payload for each instance, in order."""
        made: list[Payload] = []
        cut, text = self._cut, self._text
        for begin, stop, is_long in elements(text, cut.start, cut.end, self._pace, self._size):
            if is_long:
                made.append(self._long(begin, stop, f"instances[{len(made)}]"))
                continue
            values = self._parse(b"[%b]" % bytes(text[begin:stop]), begin, "instances", len(made))
            if not values and (begin > cut.start or stop < cut.end):
                self._parse(b"[0,%b]" % bytes(text[begin:stop]), begin, "instances", len(made))
            for value in values:
                made.append(Payload(value, field=f"instances[{len(made)}]"))
        return made

    def _parse(self, piece: bytes, begin: int, field: str, first: int) -> list[Any]:
        try:
            return _decode(piece)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise piece_fault(error, piece, begin - 1, len(self._text), field, first) from None

    def _long(self, begin: int, stop: int, field: str) -> Payload:
        """An instance that is longer than a piece: its long strings are taken out, and put back decoded."""
        token = secrets.token_hex(8)
        strings = self._long_strings(begin, stop)
        parts: list[bytes] = []
        kept = begin
        for number, string in enumerate(strings):
            parts += [self._bounded(kept, string.start, field), b'"%b-%d"' % (token.encode(), number)]
            kept = string.end
        parts.append(self._bounded(kept, stop, field))
        if sum(map(len, parts)) > MAX_INSTANCE_BYTES:
            raise self._too_large(sum(map(len, parts)), field)
        (value, *_) = self._parse(b"[%b]" % b"".join(parts), begin, field, 0) or [None]
        by_name = {f"{token}-{number}": string for number, string in enumerate(strings)}
        if (
            self._takes_bytes
            and isinstance(value, dict)
            and list(value) == ["b64"]
            and value["b64"] in by_name
        ):
            string = by_name[value["b64"]]
            data = decode_base64(self._text, string.start, string.end, self._pace, f"{field}.b64", self._size)
            return Payload(data, OCTETS, field=field)
        return Payload(self._restored(value, by_name, field), field=field)

    def _restored(self, value: JsonValue, strings: Mapping[str, _Long], field: str) -> JsonValue:
        if isinstance(value, str) and value in strings:
            string = strings[value]
            return decode_string(self._text, string.start, string.end, self._pace, field, self._size)
        if isinstance(value, list):
            return [self._restored(each, strings, f"{field}[{place}]") for place, each in enumerate(value)]
        if isinstance(value, dict):
            return {name: self._restored(each, strings, f"{field}.{name}") for name, each in value.items()}
        return value

    def _long_strings(self, begin: int, stop: int) -> list[_Long]:
        """The strings of an instance that are long and no names."""
        marks, opened = Marks(), -1
        found: list[_Long] = []
        for at, window in windows(self._text, begin, stop, self._pace, self._size):
            quotes = at + marks.strings(window)
            if opened >= 0:
                quotes = np.concatenate(([opened], quotes))
            opened = int(quotes[-1]) if len(quotes) % 2 else -1
            pairs = quotes[: len(quotes) // 2 * 2].reshape(-1, 2)
            for start, end in pairs[pairs[:, 1] - pairs[:, 0] >= LONG_STRING_BYTES].tolist():
                if not bytes(self._text[end + 1 : end + 64]).lstrip().startswith(b":"):
                    found.append(_Long(start, end + 1))
        return found

    def _bounded(self, start: int, end: int, field: str) -> bytes:
        if end - start > MAX_INSTANCE_BYTES:
            raise self._too_large(end - start, field)
        return bytes(self._text[start:end])

    def _too_large(self, size: int, field: str) -> InputTooLarge:
        actual = f"{counted(size, 'byte')} of JSON or more beside long strings"
        return InputTooLarge(field, actual, f"at most {MAX_INSTANCE_BYTES}")


def _is_taken(cut: Cut, rest: bytes) -> bool:
    """Whether the list that was cut out is the body's own `instances`."""
    try:
        named = msgspec.json.decode(rest, type=_Named)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return isinstance(named.instances, msgspec.Raw) and place_of(named.instances, rest) == cut.place
