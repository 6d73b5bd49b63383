"""What every reader of a table gives: a header, then chunks of rows, and the rows that it could not read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from training.data.strings import Index


@dataclass(frozen=True)
class Header:
    """columns: the names as the file spells them. sample: its first rows by column.

    class_names: of a column whose numbers stand for names, those names, as Hugging Face writes them into Parquet.
    """

    file: str
    columns: tuple[str, ...]
    sample: Sequence[dict[str, Any]] = ()
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Chunk(NamedTuple):
    """Rows as they come: pyarrow arrays of contents and labels [rows], and the rows' numbers in the file [rows]."""

    contents: Any
    labels: Any
    numbers: Index


Chunks: TypeAlias = Iterator[Chunk | tuple[int, str]]
"""Chunks in the file's order; between them, or at the end, the number of a row that could not be read, and why."""


def chunk_of(rows: Iterable[tuple[str | None, str | None, int]]) -> Chunk:
    """Rows of content, label and number; at least one."""
    import pyarrow

    contents, labels, numbers = zip(*rows, strict=True)
    texts = pyarrow.string()
    return Chunk(pyarrow.array(contents, texts), pyarrow.array(labels, texts), np.array(numbers, np.int64))
