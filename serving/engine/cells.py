"""Where the numbers of a model are kept: lists of this process, or memory that outlives it.

A place for whole numbers is a `Cells`. `serving.workers.counts` has those of a worker, so that its successor counts on.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, overload


class Cells(Protocol):
    """Signed numbers of 64 bits, each 0 at first: a list, or a view of memory."""

    @overload
    def __getitem__(self, place: int, /) -> int: ...
    @overload
    def __getitem__(self, places: slice, /) -> Sequence[int]: ...
    def __setitem__(self, place: int, number: int, /) -> None: ...
    def __len__(self) -> int: ...


class Numbers(Protocol):
    """The numbers of one version of one model."""

    def cells(self, key: str, size: int) -> Cells:
        """The `size` cells under a key, as they were left."""
        ...

    def left(self, prefix: str) -> Iterable[str]:
        """The rest of each key with this prefix under which cells were left."""
        ...


class Counts(Protocol):
    """The numbers of all models."""

    def of(self, name: str, version: int) -> Numbers:
        """Those of a version that is loaded: what an earlier process left, and zeros when it is loaded again."""
        ...


class PrivateNumbers:
    """Numbers that end with the process, or with the version."""

    def cells(self, key: str, size: int) -> Cells:
        """Zeros."""
        return [0] * size

    def left(self, prefix: str) -> Iterable[str]:
        """None."""
        return ()


class PrivateCounts:
    """A process that is alone."""

    def of(self, name: str, version: int) -> Numbers:
        """Zeros."""
        return PrivateNumbers()
