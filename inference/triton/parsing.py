"""From the text of a `config.pbtxt` to Triton's message, with nothing in it that has to be refused by name."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inference.folder import read_file
from inference.triton.fields import BACKENDS, CONFIG_FILE, IGNORED, REFUSED

_LONGEST = 1 << 20  # bytes of a configuration; people's have a few hundred


class ConfigFault(Exception):
    """A faulty field, as the operator is told."""

    def __init__(self, field: str, reason: str, line: int = 0) -> None:
        where = f"{CONFIG_FILE}:{line}" if line else CONFIG_FILE
        super().__init__(f"{where}: {field}: {reason}" if field else f"{where}: {reason}")


class ConfigUnreadable(ConfigFault):
    """The file could not be read just now, so that it says nothing yet."""


def parse(file: Path) -> Any:
    """The message, with nothing in it that would have to be refused by name."""
    # Imported where a configuration is found, since most models have none and it takes a tenth of a second.
    from google.protobuf import text_format

    from inference.triton.schema import config_message

    text = _read_text(file)
    message = config_message()()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise _parse_fault(error) from None
    for field in fields_set(message):
        if field in REFUSED:
            raise ConfigFault(field, f"got it set, and without it answers would change: {REFUSED[field]}",
                         _line_of(text, field))  # fmt: skip
    for field, expected in BACKENDS.items():
        actual = getattr(message, field)
        if actual not in ("", expected):
            raise ConfigFault(field, f"got {actual!r}, expected {expected!r}", _line_of(text, field))
    return message


def _read_text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > _LONGEST:
            raise ConfigFault("", f"it has {size} bytes, expected at most {_LONGEST}")
        return read_file(file).decode("utf-8-sig")
    except OSError as error:
        raise ConfigUnreadable("", f"it cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigFault("", f"got byte {error.start} that is not UTF-8, expected text") from None


def _parse_fault(error: Any) -> ConfigFault:
    """protobuf's complaint; of an unknown field also the known name that is close to it."""
    line, text = error.GetLine() or 0, re.sub(r"^\d+:\d+ : ", "", str(error))
    found = re.search(r'Message type "[\w.]+\.(\w+)" has no field named "([^"]+)"', text)
    if found is None:
        return ConfigFault("", text.replace("baton.triton.", ""), line)
    from inference.triton.schema import MESSAGES

    message, name = found.groups()
    known = re.findall(r"(\w+) \S+ \d+", MESSAGES.get(message, ""))
    close = difflib.get_close_matches(name, known, 1)
    meant = f", did you mean {close[0]}?" if close else ""
    return ConfigFault(name, f"{message} has no such field{meant}", line)


def fields_set(message: Any, prefix: str = "") -> Iterator[str]:
    """The fields that say something, each as far as it is told apart here: `input.dims`, `optimization.cuda`."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if path in REFUSED or path in IGNORED or field.message_type is None:
            if value or field.message_type is not None:
                yield path
        elif field.message_type.GetOptions().map_entry:
            yield path
        else:
            for each in value if repeated else (value,):
                yield from fields_set(each, f"{path}.")


def _line_of(text: str, field: str) -> int:
    """The line of the field, where its name stands in one only; else 0."""
    name = re.compile(rf"^[^#\"']*\b{field.rsplit('.', 1)[-1]}\b")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if name.search(line)]
    return lines[0] if len(lines) == 1 else 0
