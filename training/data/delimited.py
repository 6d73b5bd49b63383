"""Tables of lines with separators: the separator, the header, and the rows in chunks.

Rows come from pyarrow's streaming reader, which gives the same cells as the csv module for every table whose quotes are
closed (tests/training/data/test_delimited.py compares them). A table that it cannot read is read by the csv module,
which says where the fault is.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.data.chunks import Chunk, Chunks, Header, chunk_of
from training.data.columns import Columns
from training.data.files import SAMPLE_BYTES, open_bytes, open_text
from training.data.strings import BATCH, Index
from training.errors import DataError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""In the order in which they are preferred, where a table may be read by two."""
SEPARATOR_NAMES = {name: separator for separator, name in SEPARATORS.items()}

LONGEST_CELL = 1 << 24
"""Characters: the csv module's own limit of 131,072 is shorter than a long article."""

_BLOCK_BYTES = 1 << 20
"""Read at once; a longer row is left to the csv module."""

Cells = list[str]


class Dialect(NamedTuple):
    """How a table is written."""

    encoding: str
    separator: str


def find_separator(text: str, preferred: str = ",") -> str:
    """The separator by which most rows of the sample have as many cells as the header, and that at least two."""
    order = sorted(SEPARATORS, key=lambda separator: separator != preferred)
    return max(order, key=lambda separator: _agreement(text, separator))


def _agreement(text: str, separator: str) -> float:
    rows = _sample_rows(text, separator)
    if not rows or len(rows[0]) < 2:
        return 0.0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows)


def read_header(path: Path, dialect: Dialect, text: str) -> Header:
    """The columns' names and the rows of a sample of the table."""
    rows = _sample_rows(text, dialect.separator)
    names = rows[0] if rows else []
    return Header(path.name, tuple(names), [dict(zip(names, row, strict=False)) for row in rows[1:]])


def _sample_rows(text: str, separator: str) -> list[Cells]:
    """The rows that are in the sample, without empty ones; without the last of a long one, which may be cut."""
    rows = [row for row in _reader(io.StringIO(text, newline=""), separator) if row]
    return rows[:-1] if len(text) * 2 > SAMPLE_BYTES and len(rows) > 2 else rows


def _reader(stream: Any, separator: str) -> Any:
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(stream, delimiter=separator)


def read_delimited(path: Path, columns: Columns, dialect: Dialect, header: Sequence[str]) -> Chunks:
    """The rows by pyarrow, odd ones at the end; `ArrowInvalid` where it cannot read the table."""
    odd: list[tuple[int, Cells]] = []

    def note(row: Any) -> None:
        odd.append((row.number, next(_reader(io.StringIO(row.text, newline=""), dialect.separator))))

    for batch, numbers in stream_rows(path, columns, dialect, _BLOCK_BYTES, note):
        yield Chunk(batch.column(0), batch.column(1), numbers)
    yield from _chunked(odd, columns, dialect, header)


def stream_rows(
    path: Path, names: Sequence[str], dialect: Dialect, block_bytes: int, note: Callable[[Any], None]
) -> Iterator[tuple[Any, Index]]:
    """Batches of the named columns as texts, by pyarrow, and their rows' numbers.

    A row with another number of cells than the header is given to `note`, as pyarrow's `InvalidRow`, and skipped.
    """
    import pyarrow
    import pyarrow.csv

    skipped: list[int] = []

    def skip(row: Any) -> str:
        skipped.append(row.number)
        note(row)
        return "skip"

    with open_bytes(path) as stream:
        reader = pyarrow.csv.open_csv(
            stream,
            # One thread: only then does the reader know the numbers of the rows that it skips.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=block_bytes,
                encoding="utf8" if dialect.encoding == "utf-8-sig" else dialect.encoding,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()), include_columns=list(names)
            ),
        )
        following = 2  # the header of a table is row 1
        for batch in reader:
            numbers = _numbers(following, len(batch), skipped)
            following = int(numbers[-1]) + 1 if len(numbers) else following
            yield batch, numbers


def _numbers(first: int, count: int, skipped: Sequence[int]) -> Index:
    """int64 [count]: the rows from `first` on that were not skipped."""
    passed = [number for number in skipped if number >= first]
    numbers = np.arange(first, first + count + len(passed), dtype=np.int64)
    return numbers[~np.isin(numbers, passed)][:count] if passed else numbers


def read_by_csv(path: Path, columns: Columns, dialect: Dialect, header: Sequence[str]) -> Chunks:
    """The same rows by the csv module; `UnicodeDecodeError` where the encoding is another."""
    with open_text(path, dialect.encoding, newline="") as text:
        rows = _rows(path, _reader(text, dialect.separator))
        next(rows)  # the header
        yield from _chunked(enumerate(rows, start=2), columns, dialect, header)


def _chunked(
    rows: Iterable[tuple[int, Cells]], columns: Columns, dialect: Dialect, header: Sequence[str]
) -> Chunks:
    """Numbered rows of cells as chunks. A row without its last cells is good where both columns are there."""
    places = header.index(columns.content), header.index(columns.label)
    kept: list[tuple[str, str, int]] = []

    for number, cells in rows:
        if max(places) < len(cells) <= len(header):
            kept.append((cells[places[0]], cells[places[1]], number))
        else:
            yield number, _odd_row(cells, len(header))
        if len(kept) == BATCH:
            yield chunk_of(kept)
            kept.clear()
    if kept:
        yield chunk_of(kept)


def _odd_row(cells: Cells, expected: int) -> str:
    """The fault of a row with another number of cells than the header has."""
    if len(cells) > expected:
        return f"{len(cells) - expected} more cells than the header has columns"
    lines = max(cell.strip().count("\n") for cell in cells) + 1
    suspicion = f"; one runs over {lines} lines, is a quote left open?" if lines > 1 else ""
    return f"{len(cells)} of {expected} cells{suspicion}"


def _rows(path: Path, reader: Any) -> Iterator[Cells]:
    """The rows that are not empty; DataError names the one that cannot be read."""
    number = 0
    try:
        for row in reader:
            if row:
                number += 1
                yield row
    except csv.Error as error:
        raise DataError(
            f"{path.name}, row {number + 1}: cannot be read: {error}; is a quote left open?"
        ) from error
