"""Many texts as UTF-8, one after the other: in memory while they are few, in a temporary file when they are many.

Short Python strings are several times as long as their letters, and texts are needed rarely once they are token ids.
"""

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from training.errors import DataError

Index = npt.NDArray[np.int64]

BATCH = 4096
"""Texts that are Python strings at the same time while all are gone through."""

IN_MEMORY_BYTES = 1 << 26
"""More than this is kept in a temporary file, which has no name and ends with its last reader."""


class Store(Protocol):
    """Bytes that can be read from any place."""

    def read(self, start: int, end: int) -> bytes | memoryview:
        """The bytes from `start` up to `end`."""
        ...


class InMemory:
    """Bytes in one buffer."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = memoryview(data)

    def read(self, start: int, end: int) -> memoryview:
        return self._data[start:end]


class OnDisk:
    """Bytes in a temporary file, which is removed with the store."""

    def __init__(self, file: Any) -> None:
        self._number = file.fileno()
        weakref.finalize(self, file.close)

    def read(self, start: int, end: int) -> bytes:
        return os.pread(self._number, end - start, start)


class Strings(Sequence[str]):
    """Texts by number; a selection of them shares the store.

    starts: int64 [all + 1], the first byte of each, and the end. chosen: int64 [rows], the texts of this selection.
    """

    def __init__(self, store: Store, starts: Index, chosen: Index | None = None) -> None:
        self._store, self._starts = store, starts
        self._chosen = np.arange(len(starts) - 1) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Strings": ...
    def __getitem__(self, row: int | slice) -> "str | Strings":
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        place = self._chosen[row]
        return str(self._store.read(int(self._starts[place]), int(self._starts[place + 1])), "utf-8")

    def __iter__(self) -> Iterator[str]:
        for batch in self.batches():
            yield from batch

    def take(self, rows: Index) -> "Strings":
        """The texts of these rows, in their order."""
        return Strings(self._store, self._starts, self._chosen[rows])

    def batches(self, size: int = BATCH) -> Iterator[list[str]]:
        """All texts in order, `size` at a time."""
        for parts in self._encoded(size):
            yield [str(part, "utf-8") for part in parts]

    def hashes(self) -> Index:
        """int64 [rows]: equal texts have equal ones, and others hardly ever; another process has other ones."""
        found = (hash(bytes(part)) for parts in self._encoded(BATCH) for part in parts)
        return np.fromiter(found, np.int64, len(self))

    def _encoded(self, size: int) -> Iterator[list[memoryview]]:
        """The bytes of all texts in order, `size` texts at a time; neighbours are read at once."""
        for first in range(0, len(self), size):
            chosen = self._chosen[first : first + size]
            starts, ends = self._starts[chosen], self._starts[chosen + 1]
            low, high = int(starts.min()), int(ends.max())
            if high - low > 2 * int((ends - starts).sum()):  # far apart
                pairs = zip(starts.tolist(), ends.tolist(), strict=True)
                yield [memoryview(self._store.read(start, end)) for start, end in pairs]
                continue
            whole = memoryview(self._store.read(low, high))
            pairs = zip((starts - low).tolist(), (ends - low).tolist(), strict=True)
            yield [whole[start:end] for start, end in pairs]


class StringsBuilder:
    """Collects texts, in memory at first."""

    def __init__(self, in_memory: int = IN_MEMORY_BYTES) -> None:
        self._in_memory = in_memory
        self._data = bytearray()
        self._file: Any = None
        self._size = 0
        self._starts: list[Index] = [np.zeros(1, np.int64)]

    def add(self, texts: Iterable[str]) -> None:
        """Append texts that Python has as strings; UnicodeEncodeError where one holds half a character."""
        encoded = [text.encode() for text in texts]
        self._add(b"".join(encoded), np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded))))

    def add_arrow(self, texts: Any) -> None:
        """Append a pyarrow `StringArray` without nulls: its bytes are copied, and no string is made."""
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        inside = memoryview(data)[ends[0] : ends[-1]] if data is not None else memoryview(b"")
        self._add(inside, (ends[1:] - ends[0]).astype(np.int64))

    def build(self) -> Strings:
        """The texts; the builder must not be used again."""
        starts = np.concatenate(self._starts)
        self._starts.clear()
        if self._file is None:
            return Strings(InMemory(self._data), starts)
        self._file.flush()
        return Strings(OnDisk(self._file), starts)

    def _add(self, data: bytes | memoryview, ends: Index) -> None:
        self._starts.append(self._size + ends)
        self._size += len(data)
        if self._file is None and self._size <= self._in_memory:
            self._data += data
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="baton-texts-")  # noqa: SIM115 - `OnDisk` closes it
                self._file.write(self._data)
                self._data = bytearray()
            self._file.write(data)
        except OSError as error:
            raise DataError(
                f"{tempfile.gettempdir()}: no room for the texts: {error}; the variable TMPDIR names another folder"
            ) from error
