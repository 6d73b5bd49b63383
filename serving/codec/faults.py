"""What a JSON parser complains about, in our words: the field, what came, what was expected."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from inference.errors import MISSING, InvalidInput

_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<kind>[^`]+)`(?:, got `(?P<seen>[^`]+)`| (?P<bound>.+))")
_REQUIRED = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_STEPS = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_REQUIRED_VALUES = {
    "inputs": "a list with every input of the model",
    "instances": "a list of instances",
    "name": "a tensor's name",
    "shape": "a list of whole numbers",
    "datatype": "a datatype such as FP32",
}
"""What a member that has to be there is."""


def json_fault(error: Exception, text: bytes | memoryview) -> InvalidInput:
    """A parser's complaint about a body: a value of the wrong type, or no JSON at all."""
    if isinstance(error, msgspec.ValidationError):
        return mismatch(error, "", text)
    if isinstance(error, RecursionError):
        return InvalidInput("body", "JSON nested too deeply", "a few levels")
    place = _unpaired(bytes(text))
    if place is not None:
        return InvalidInput(place or "body", "half of a surrogate pair", "text")
    return InvalidInput("body", f"{len(text)} bytes ({error})", "JSON")


def mismatch(error: Exception, field: str, text: bytes | memoryview | msgspec.Raw) -> InvalidInput:
    """A complaint about a value in `text`, which is what `field` holds; "" for the whole body."""
    complaint = _COMPLAINT.fullmatch(str(error))
    what, path = (complaint["what"], complaint["path"] or "") if complaint else (str(error), "")
    expected = _EXPECTED.fullmatch(what)
    unnamed = "[...]" in path or (expected is not None and expected["seen"] is None)
    name, value = _look_up(text, path) if unnamed else (path, MISSING)
    if missing := _REQUIRED.fullmatch(what):
        required = _REQUIRED_VALUES.get(missing["name"], "a value")
        return InvalidInput(_joined(field, f"{name}.{missing['name']}"), MISSING, required)
    place = _joined(field, name)
    if expected:
        seen = _kind(expected["seen"]) if expected["seen"] else "another" if value is MISSING else value
        bound = f" {expected['bound']}" if expected["bound"] else ""
        return InvalidInput(place, seen, f"{_kind(expected['kind'])}{bound}")
    if "out of range" in what:
        return InvalidInput(place, "a number out of range", "a number of 64 bits")
    if "UTF-8" in what:
        return InvalidInput(place, "text that is not UTF-8", "UTF-8")
    return InvalidInput(place, what, "what the protocol has there")


def _joined(field: str, path: str) -> str:
    return f"{field}{path}" if field else path.removeprefix(".") or "body"


def _kind(kinds: str) -> str:
    """`object | null` → an object: null stands for what is absent."""
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
    r"""Where a body has a `\ud800` without its other half, which is no text; None if it has none."""
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
