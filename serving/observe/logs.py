"""How the process's log is written: lines for people, or JSON for machines.

Clients choose paths, ids and parts of messages. In either form their characters stay within the line and the field:
no line break, no escape sequence of a terminal, no mark that turns the direction of writing.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_CONTINUED = "\n  "  # begins each further line of a record, as no record begins


class TextFormatter(logging.Formatter):
    """A line for people; a traceback follows in lines of its own, which are set in."""

    def __init__(self, process: str = "") -> None:
        """`process`: which of several it is."""
        super().__init__()
        self._said = f"{process}: " if process else ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and those of a traceback, whose message may be a client's too."""
        begins = f"{self.formatTime(record)} {record.levelname} {self._said}{record.name}"
        lines = [f"{begins}: {record.getMessage()}"]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return _CONTINUED.join(map(escaped, lines))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the facts of a record beside its message."""

    def __init__(self, facts: Mapping[str, str] | None = None) -> None:
        """`facts` are in every line."""
        super().__init__()
        self._facts = facts or {}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._facts,
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False)
        if text.isprintable():
            return text
        # U+2028 ends a line for some readers, and half a pair cannot be written at all.
        return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def escaped(text: str) -> str:
    """The text with each character that is not to be printed in Python's notation: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def set_up_logging(level: str, style: str, process: str = "") -> None:
    """The process's log, on standard error: `style` text or json. `process`: which of several it is."""
    handler = logging.StreamHandler()
    if style == "json":
        handler.setFormatter(JsonFormatter({"process": process} if process else {}))
    else:
        handler.setFormatter(TextFormatter(process))
    logging.basicConfig(level=level.upper(), handlers=[handler])
