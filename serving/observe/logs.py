"""How the process's log is written: lines for people, or JSON for machines."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


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
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(level: str, style: str, process: str = "") -> None:
    """The process's log, on standard error: `style` text or json. `process`: which of several it is."""
    handler = logging.StreamHandler()
    if style == "json":
        handler.setFormatter(JsonFormatter({"process": process} if process else {}))
    else:
        said = f"{process}: " if process else ""
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {said}%(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
