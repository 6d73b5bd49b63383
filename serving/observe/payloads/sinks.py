"""Where events go: a file of JSON lines that never outgrows its limit, or a collector over HTTP."""

import contextlib
import fcntl
import http.client
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from serving.observe.payloads.events import Event

_TIMEOUT_S = 5.0
_ACCEPTED = range(200, 300)


class Sink(Protocol):
    """Takes events on the writer's thread."""

    def write(self, events: Sequence[Event]) -> None:
        """Take them all, or raise OSError."""
        ...

    def close(self) -> None:
        """No more come."""
        ...


class FileSink:
    """Appends lines; at the limit the file becomes FILE.1, in the place of the one before. Workers may share it.

    A write that fails in its middle (a full disk) is undone, and half a line that a killed process left is ended, so
    every line is whole or stands alone. The file is found again where somebody moved it, or its folder was away.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Raises OSError where the file cannot be written. `max_bytes`: of the file and of its predecessor each."""
        self._path, self._max_bytes = path, max_bytes
        self._file = self._open()

    def write(self, events: Sequence[Event]) -> None:
        lines = b"".join(event.as_line() for event in events)
        try:
            size = self._lock()
            if size and size + len(lines) > self._max_bytes:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                size = self._lock()  # of the new one
            self._append(lines, size)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _lock(self) -> int:
        """Lock the file that has the name now, since another process may have moved ours aside; its size."""
        while True:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            found = os.fstat(self._file)
            try:
                if os.stat(self._path).st_ino == found.st_ino:  # noqa: PTH116 - beside fstat
                    return found.st_size
            except FileNotFoundError:
                pass
            before, self._file = self._file, self._open()  # if it cannot be opened, ours stays
            os.close(before)

    def _append(self, lines: bytes, size: int) -> None:
        """Add lines to the locked file, all or none."""
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise


class HttpSink:
    """Posts each event by itself in HTTP's binary mode, as KServe's logger does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname:
            raise OSError(f"{url} names no host")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        self._path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            self._post(event)

    def close(self) -> None:
        self._connection.close()

    def _post(self, event: Event) -> None:
        headers = {
            "content-type" if name == "datacontenttype" else f"ce-{name}": value
            for name, value in event.attributes.items()
        }
        try:
            self._connection.request("POST", self._path, event.data, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise OSError(f"{type(error).__name__}: {error}") from error
        if answer.status not in _ACCEPTED:
            raise OSError(f"the collector answered {answer.status}")


def open_sink(url_or_path: str, max_bytes: int) -> Sink:
    """The sink of a URL or of a file's path; raises OSError where it cannot be."""
    if url_or_path.startswith(("http://", "https://")):
        return HttpSink(url_or_path)
    return FileSink(Path(url_or_path), max_bytes)
