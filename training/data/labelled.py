"""An image with its label as it lies in files, before it is decoded."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class Labelled(NamedTuple):
    """content: the image's file, or its bytes. where: as a message names it."""

    content: Path | bytes
    label: str
    where: str


class Source(NamedTuple):
    """One part of a data set. images: read once, in their order. faults: a line on every row that names no image.

    classes: those that have a folder, in which there may be no image.
    """

    name: str
    images: Iterable[Labelled]
    faults: Sequence[str] = ()
    classes: Sequence[str] = ()

    def place(self, label: str) -> str:
        """A class of this part, as a message names it."""
        return f"{self.name}/{label}" if self.classes else f"{self.name}: the class {label!r}"
