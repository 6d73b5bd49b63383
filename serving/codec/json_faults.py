"""A JSON parser's complaints in our words: the field, what came, what was expected."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from inference.errors import MISSING, InvalidInput, counted

_COMPLAINT = re.compile(r"(?P<text>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<kind>[^`]+)`(?:, got `(?P<actual>[^`]+)`| (?P<bound>.+))")
_REQUIRED = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_STEPS = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_FIRST_INDEX = re.compile(r"\[(\d+)\]")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_REQUIRED_VALUES = {
    "inputs": "a list with every input of the model",
    "instances": "a list of instances",
    "name": "a tensor's name",
    "shape": "a list of whole numbers",
    "datatype": "a datatype such as FP32",
}
"""By name, the value of each field that must be there."""


def json_fault(error: Exception, text: bytes | memoryview) -> InvalidInput:
    """The fault of a body: a value of the wrong type, or no JSON at all."""
    if isinstance(error, msgspec.ValidationError):
        return mismatch(error, "", text)
    if isinstance(error, RecursionError):
        return InvalidInput("body", "JSON nested too deeply", "a few levels")
    path = _unpaired(bytes(text))
    if path is not None:
        return InvalidInput(path or "body", "half of a surrogate pair", "text")
    return InvalidInput("body", f"{counted(len(text), 'byte')} ({error})", "JSON")


def piece_fault(
    error: Exception, piece: bytes, place: int, total: int, field: str, first: int = 0
) -> InvalidInput:
    """The fault of a piece of a body of `total` bytes, at `place` in it: a part of the JSON of `field`.

    `first` is the place in a list of the piece's first element.
    """
    if isinstance(error, msgspec.ValidationError) or "UTF-8" in str(error):
        return mismatch(error, field, piece, first)
    path = _unpaired(piece)
    if path is not None:
        return InvalidInput(f"{field}{_moved(path, first)}", "half of a surrogate pair", "text")
    return InvalidInput("body", f"{counted(total, 'byte')} ({of_whole(error, place)})", "JSON")


def of_whole(error: Exception, place: int) -> str:
    """A parser's complaint of a piece at `place`, with its byte in the whole body."""
    return _BYTE.sub(lambda found: f"(byte {int(found[1]) + place})", str(error))


def mismatch(
    error: Exception, field: str, text: bytes | memoryview | msgspec.Raw, first: int = 0
) -> InvalidInput:
    """The fault of a value in `text`, which is the JSON of `field`; "" for the whole body.

    `first`: where in the list of `field` that of `text` begins.
    """
    complaint = _COMPLAINT.fullmatch(str(error))
    said, path = (complaint["text"], complaint["path"] or "") if complaint else (str(error), "")
    expected = _EXPECTED.fullmatch(said)
    # Looking a value up parses the body once more, so it is done where the parser names no path or no value.
    unnamed = "[...]" in path or (expected is not None and expected["actual"] is None)
    name, value = _look_up(text, path) if unnamed else (path, MISSING)
    name = _moved(name, first)
    if missing := _REQUIRED.fullmatch(said):
        required = _REQUIRED_VALUES.get(missing["name"], "a value")
        return InvalidInput(_joined(field, f"{name}.{missing['name']}"), MISSING, required)
    at_fault = _joined(field, name)
    if expected:
        actual = _kind(expected["actual"]) if expected["actual"] else "another" if value is MISSING else value
        bound = f" {expected['bound']}" if expected["bound"] else ""
        return InvalidInput(at_fault, actual, f"{_kind(expected['kind'])}{bound}")
    if "out of range" in said:
        return InvalidInput(at_fault, "a number out of range", "a number of 64 bits")
    if "UTF-8" in said:
        return InvalidInput(at_fault, "text that is not UTF-8", "UTF-8")
    return InvalidInput(at_fault, f"no JSON ({said})", "JSON")


def _moved(path: str, first: int) -> str:
    """The path with its first index moved on."""
    found = _FIRST_INDEX.match(path) if first else None
    return path if found is None else f"[{int(found[1]) + first}]{path[found.end() :]}"


def _joined(field: str, path: str) -> str:
    return f"{field}{path}" if field else path.removeprefix(".") or "body"


def _kind(kinds: str) -> str:
    """`object | null` → an object: null stands for an absent value."""
    named = [kind for kind in kinds.split(" | ") if kind != "null"] or ["null"]
    words = " or ".join((", ".join(named[:-1]), named[-1])) if len(named) > 1 else named[0]
    return words if words == "null" else f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _look_up(text: bytes | memoryview | msgspec.Raw, path: str) -> tuple[str, Any]:
    """The value at `path`, whose `[...]`, some value of an object, becomes the name of the one at fault."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return path.replace("[...]", ""), MISSING
    found = ""
    for step in _STEPS.finditer(path):
        name, index = step["name"], step["index"]
        if index == "...":
            name = next((key for key, each in value.items() if not _is_scalar(each)), None)
            if name is None:
                return found, MISSING
        value = value[name] if name is not None else value[int(index)]
        found += f".{name}" if name is not None else f"[{index}]"
    return found, value


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _unpaired(text: bytes) -> str | None:
    r"""The path of a `\ud800` without its other half, which is no text; None if there is none."""
    if _LONE_SURROGATE.search(text) is None:
        return None
    try:
        return next(_surrogates(json.loads(text), ""), None)
    except (ValueError, RecursionError):
        return None


def _surrogates(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        if not _is_text(value):
            yield path.removeprefix(".")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _surrogates(each, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, each in value.items():
            if not _is_text(name):
                yield path.removeprefix(".")
            yield from _surrogates(each, f"{path}.{name}")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
