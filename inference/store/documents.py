"""The JSON files of a bundle, read into records: bounded, strictly typed, and refused with the field that is at fault.

Whoever wrote them need not be a friend. `ManifestInvalid` is all that a document can raise.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from inference.configs import MOST_CLASSES, SOON, Prose, Record
from inference.errors import ManifestInvalid, PathOutside, shorten
from inference.folder import shown
from inference.manifest import OUTSIDE

MiB = 1 << 20

MOST_BYTES = 512 * MiB
"""Of a document: the golden answers of a recommender with a million items have 160 MB."""

_MOST_KEYS = 1 << 16  # of one object: each that is unknown costs half a kilobyte of complaint
_MOST_DEPTH = 200  # pydantic's own
_MOST_FAULTS = 5  # that one message names

_Document = TypeVar("_Document", bound=Record)

_Content = TypeVar("_Content")


def read_document(kind: type[_Document], data: bytes, bundle: Path, name: str) -> _Document:
    """The content of the file `name` as a record; `ManifestInvalid` or, for a path that leads out, `PathOutside`."""
    return _validated(TypeAdapter(kind), data, bundle, name)


def read_lines(data: bytes, bundle: Path, name: str) -> tuple[str, ...]:
    """The content of a file that is a list of strings."""
    return _validated(_LINES, data, bundle, name)


_LINES: TypeAdapter[tuple[str, ...]] = TypeAdapter(
    Annotated[tuple[Prose, ...], SOON, Field(max_length=MOST_CLASSES)]
)


def _validated(kind: TypeAdapter[_Content], data: bytes, bundle: Path, name: str) -> _Content:
    try:
        # pydantic keeps the last of two entries with one key, and nobody could say which of them was meant.
        json.loads(data.decode(), object_pairs_hook=_once_each)
        return kind.validate_json(data, strict=True)
    except _KeyFault as fault:
        raise ManifestInvalid(bundle, f"{name}: {fault}") from None
    except ValidationError as error:
        raise _refusal(bundle, name, data, error) from None
    except RecursionError:
        raise ManifestInvalid(bundle, f"{name}: {_too_deep(data)}") from None
    except ValueError as error:
        raise ManifestInvalid(bundle, f"{name}: {_not_json(data, error)}") from None


class _KeyFault(Exception):
    """A key of an object is there twice, or there are too many."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_KEYS:
        raise _KeyFault(
            f"{_key(pairs[0][0])}: got an object of {len(pairs)} keys, expected at most {_MOST_KEYS}"
        )
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise _KeyFault(f"{_key(twice)}: got this key twice in one object, expected it once")
    return found


def _refusal(bundle: Path, name: str, data: bytes, error: ValidationError) -> ManifestInvalid | PathOutside:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{'.'.join(map(_key, fault['loc']))}: {fault['msg']}" for fault in faults[:_MOST_FAULTS]]
    if not faults[0]["loc"]:  # of the text, not of a field
        said[0] = faults[0]["msg"]
        if at := re.search(r"line (\d+) column (\d+)", said[0]):
            said[0] += f", {_place(data, _offset(data, int(at[1]), int(at[2])))}"
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    kind = PathOutside if any(OUTSIDE in fault["msg"] for fault in faults) else ManifestInvalid
    return kind(bundle, f"{name}: {'; '.join(said)}{more}")


def _not_json(data: bytes, error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"got bytes that are not UTF-8, {_place(data, error.start)}"
    if isinstance(error, json.JSONDecodeError):
        at = len(error.doc[: error.pos].encode("utf-8", "replace"))
        return f"it is not JSON: {error.msg}, {_place(data, at)}"
    long = re.search(rb"[0-9]{4301}", data)  # Python's own limit (sys.get_int_max_str_digits)
    return f"got a number of thousands of digits, {_place(data, long.start() if long else 0)}"


def _place(data: bytes, at: int) -> str:
    """Where that is, for a person: the line, and the last key before it."""
    line = data.count(b"\n", 0, at) + 1
    keys = re.findall(rb'"([^"\n]{1,200})"\s*:', data[max(0, at - 4096) : at])
    return f"in line {line}" + (f", at {_key(keys[-1].decode('utf-8', 'replace'))}" if keys else "")


def _offset(data: bytes, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = data.find(b"\n", start) + 1
    return start + column


def _too_deep(data: bytes) -> str:
    depth = at = 0
    for mark in re.finditer(rb"[\[\]{}]", data[:MiB]):
        depth += 1 if mark[0] in b"[{" else -1
        if depth > _MOST_DEPTH:
            at = mark.start()
            break
    return f"got more than {_MOST_DEPTH} values in one another, {_place(data, at)}"


def _key(part: object) -> str:
    return shown(shorten(str(part)))
