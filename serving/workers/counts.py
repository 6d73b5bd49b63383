"""The counts of a worker's models in memory that the supervisor keeps: a killed worker's successor counts on.

The memory is a file without a name, mapped by one worker at a time. It holds records one after another, and before them
the bytes that they take:

    bytes used ‖ length of the key, number of cells, key, cells ‖ …

A record is written before the bytes used are, and a cell is stored by one instruction, so whenever a worker is killed
its memory is whole. An addition costs about 50 ns more than in a list.
"""

import logging
import mmap
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from struct import Struct

from serving.engine.cells import Cells

log = logging.getLogger("baton.worker")

CAPACITY = 64 << 20
"""Bytes of address space. Memory is taken as it is written: about 5 kB a version, and 80 bytes a label."""

_WORD = 8
_HEAD = Struct("=II")


def create_counts(number: int) -> int:
    """A descriptor of the memory of the worker of this number, empty."""
    if sys.platform == "linux":
        descriptor = os.memfd_create(f"baton-worker-{number}", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, CAPACITY)
    return descriptor


class SharedCounts:
    """`serving.engine.cells.Counts` in such memory."""

    def __init__(self, descriptor: int) -> None:
        """Map it, and close the descriptor."""
        self._memory = memoryview(mmap.mmap(descriptor, CAPACITY))
        os.close(descriptor)
        self._used = self._memory[:_WORD].cast("q")
        self._used[0] = max(self._used[0], _WORD)
        self._cells = dict(self._records())
        self._begun: set[str] = set()
        self._full = False

    def of(self, name: str, version: int) -> "SharedNumbers":
        """What was left of a version by the worker before, or zeros where it is loaded again by this one."""
        prefix = f"{name}/{version}/"
        if prefix in self._begun:
            for key in self.keys(prefix):
                cells = self._cells[key]
                for place in range(len(cells)):
                    cells[place] = 0
        self._begun.add(prefix)
        return SharedNumbers(self, prefix)

    def keys(self, prefix: str) -> list[str]:
        """The keys with a prefix."""
        return [key for key in self._cells if key.startswith(prefix)]

    def cells(self, key: str, size: int) -> Cells:
        """The cells under a key, new if there are none of this size; private where the memory is full."""
        known = self._cells.get(key)
        if known is not None and len(known) == size:
            return known
        made = self._append(key.encode(), size)
        if made is None:
            if not self._full:
                self._full = True
                log.error(
                    "the memory for counts is full: if this worker is killed, its newest counts are lost"
                )
            return [0] * size
        self._cells[key] = made
        return made

    def _append(self, key: bytes, size: int) -> "memoryview[int] | None":
        at = self._used[0]
        begins = at + _HEAD.size + _padded(len(key))
        ends = begins + size * _WORD
        if ends > CAPACITY:
            return None
        _HEAD.pack_into(self._memory, at, len(key), size)
        self._memory[at + _HEAD.size : at + _HEAD.size + len(key)] = key
        self._used[0] = ends
        return self._memory[begins:ends].cast("q")

    def _records(self) -> Iterator[tuple[str, "memoryview[int]"]]:
        at = _WORD
        while at < self._used[0]:
            length, size = _HEAD.unpack_from(self._memory, at)
            key = bytes(self._memory[at + _HEAD.size : at + _HEAD.size + length]).decode()
            at += _HEAD.size + _padded(length)
            yield key, self._memory[at : at + size * _WORD].cast("q")
            at += size * _WORD


class SharedNumbers:
    """Those of one version."""

    def __init__(self, counts: SharedCounts, prefix: str) -> None:
        self._counts, self._prefix = counts, prefix

    def cells(self, key: str, size: int) -> Cells:
        """Under this key of this version."""
        return self._counts.cells(self._prefix + key, size)

    def left(self, prefix: str) -> Iterable[str]:
        """The rest of each key of this version that begins so."""
        whole = self._prefix + prefix
        return [key.removeprefix(whole) for key in self._counts.keys(whole)]


def _padded(length: int) -> int:
    return -(-length // _WORD) * _WORD
