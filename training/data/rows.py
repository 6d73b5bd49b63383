"""Rows of content and label with their places in files, by column: a tuple a row costs several times the file.

The content is a text, or the name of an image's file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from training.data.strings import BATCH, Index, Strings, StringsBuilder

Codes = npt.NDArray[np.int32]


class Row(NamedTuple):
    """One text with its label, its file and row."""

    text: str
    label: str
    where: str


@dataclass(frozen=True)
class Rows(Sequence[Row]):
    """Rows by number; a `Row` is made when it is asked for.

    texts: [rows]. codes: int32 [rows], the place of each label in `labels`. files: int32 [rows], that of each file in
    `names`. numbers: int64 [rows], the row in its file.
    """

    texts: Strings
    codes: Codes
    labels: tuple[str, ...]
    files: Codes
    names: tuple[str, ...]
    numbers: Index

    @classmethod
    def of(cls, file: str, pairs: Iterable[tuple[str, str]], first: int = 2) -> "Rows":
        """Texts with labels; `file` and the numbers from `first` on say where they stand."""
        builder, remaining = RowsBuilder(), iter(pairs)
        while batch := list(islice(remaining, BATCH)):
            texts, labels = zip(*batch, strict=True)
            builder.add(file, texts, labels, np.arange(first, first + len(batch)))
            first += len(batch)
        return builder.build()

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> Row: ...
    @overload
    def __getitem__(self, row: slice) -> "Rows": ...
    def __getitem__(self, row: int | slice) -> "Row | Rows":
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        return Row(self.texts[row], self.labels[self.codes[row]], self.where(row))

    def __iter__(self) -> Iterator[Row]:
        places = (self.where(row) for row in range(len(self)))
        labels = (self.labels[code] for code in self.codes.tolist())
        return map(Row, self.texts, labels, places)

    def where(self, row: int) -> str:
        """Its file and row, as a message names them."""
        return f"{self.names[self.files[row]]}, row {self.numbers[row]}"

    def take(self, rows: Index) -> "Rows":
        """These rows in this order; the texts stay where they are."""
        return Rows(
            self.texts.take(rows),
            self.codes[rows],
            self.labels,
            self.files[rows],
            self.names,
            self.numbers[rows],
        )

    def counts(self) -> dict[str, int]:
        """Rows of each label that has any, the labels in order."""
        counts = np.bincount(self.codes, minlength=len(self.labels)).tolist()
        return {label: count for label, count in sorted(zip(self.labels, counts, strict=True)) if count}

    def classes(self, names: Sequence[str]) -> Index:
        """int64 [rows]: the place of each row's label in `names`, -1 where it has none."""
        place = {name: number for number, name in enumerate(names)}
        table = np.array([place.get(label, -1) for label in self.labels], np.int64)
        return table[self.codes] if len(table) else np.zeros(0, np.int64)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several files, one after the other."""
    builder = RowsBuilder()
    for part in parts:
        for first in range(0, len(part), BATCH):
            some = part[first : first + BATCH]
            labels = [some.labels[code] for code in some.codes.tolist()]
            builder.add(some.names[some.files[0]], list(some.texts), labels, some.numbers)
    return builder.build()


class RowsBuilder:
    """Collects rows of one file or of several."""

    def __init__(self) -> None:
        self._texts = StringsBuilder()
        self._labels: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._codes: list[Codes] = []
        self._files: list[Codes] = []
        self._numbers: list[Index] = []

    def add(self, file: str, texts: Sequence[str], labels: Sequence[str], numbers: Index) -> None:
        """Append rows that Python has as strings."""
        self._texts.add(texts)
        self._add(file, np.fromiter(map(self._code, labels), np.int32, len(labels)), numbers)

    def add_arrow(self, file: str, texts: Any, codes: Index, labels: Sequence[str], numbers: Index) -> None:
        """Append a pyarrow `StringArray` without nulls; codes: int64 [rows], places in `labels`."""
        self._texts.add_arrow(texts)
        own = np.fromiter(map(self._code, labels), np.int32, len(labels))
        self._add(file, own[codes], numbers)

    def build(self) -> Rows:
        """The rows; the builder must not be used again."""
        nothing: list[Any] = [np.zeros(0, np.int32)]
        return Rows(
            self._texts.build(),
            np.concatenate(self._codes or nothing),
            tuple(self._labels),
            np.concatenate(self._files or nothing),
            tuple(self._names),
            np.concatenate(self._numbers or nothing).astype(np.int64, copy=False),
        )

    def _add(self, file: str, codes: Codes, numbers: Index) -> None:
        place = self._names.setdefault(file, len(self._names))
        self._codes.append(codes)
        self._files.append(np.full(len(codes), place, np.int32))
        self._numbers.append(numbers)

    def _code(self, label: str) -> int:
        return self._labels.setdefault(label, len(self._labels))
