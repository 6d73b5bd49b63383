"""A log that says of each entry what it did not say last: a fault on disk is there again at every look."""

import logging
from collections.abc import Hashable

from inference.folder import shown


class LogOnce:
    """The last message of each key is remembered until the key is forgotten."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[Hashable, str] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._last

    def say(self, key: Hashable, level: int, message: str, *, traceback: bool = False) -> None:
        """Log the message, unless it is the last one of this key. `traceback`: of the exception under way."""
        if self._last.get(key) != message:
            self._last[key] = message
            self._log.log(level, "%s", shown(message), exc_info=traceback)

    def forget(self, key: Hashable) -> bool:
        """From now on everything of this key is news again; whether anything had been said of it."""
        return self._last.pop(key, None) is not None
