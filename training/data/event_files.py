"""The rows of a file of events in parts, so that a file of any size passes through: CSV, TSV, JSON lines and Parquet.

Rows are numbered as a spreadsheet shows them: the header of a CSV file is row 1. A line of JSON and a row of Parquet
count from 1. Values stay as the file has them; `events` makes events of them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from training.data.delimited import stream_rows
from training.data.files import UNREADABLE, undecodable
from training.data.interactions import Ints
from training.data.records import is_whole, objects, open_parquet
from training.data.tables import Source
from training.errors import DataError

PART_ROWS = 1 << 14
"""Of JSON lines and Parquet."""

BLOCK_BYTES = 1 << 18
"""Of a CSV, read at once; no row may be longer. Blocks of 4 MiB hold 50 MB more of memory, and are no faster."""


class Part(NamedTuple):
    """Rows as they come: an array [rows] of each column, and int64 [rows], their numbers."""

    columns: dict[str, Any]
    numbers: Ints


class Unreadable(NamedTuple):
    """A row that is none."""

    number: int
    fault: str


Parts = Iterator[Part | Unreadable]


def read_parts(source: Source, names: Sequence[str]) -> Parts:
    """The named columns, part by part; `DataError` where the file as a whole cannot be read."""
    readers = {"parquet": _parquet, "jsonl": _json_lines}
    path = source.path
    try:
        yield from readers.get(source.format.kind, _delimited)(source, names)
    except UnicodeError as error:
        raise undecodable(path, source.dialect.encoding) from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise undecodable(path, source.dialect.encoding) from error
        hint = "; is a quote left open?" if "straddling" in str(error) else ""
        raise DataError(
            f"{path.name}: cannot be read as {source.format.kind.upper()}: {error}{hint}"
        ) from error
    except UNREADABLE as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from error


def _delimited(source: Source, names: Sequence[str]) -> Parts:
    odd: list[Unreadable] = []

    def note(row: Any) -> None:
        lines = row.text.strip().count("\n") + 1
        suspicion = f"; it runs over {lines} lines, is a quote left open?" if lines > 1 else ""
        odd.append(
            Unreadable(row.number, f"{row.actual_columns} fields, expected {row.expected_columns}{suspicion}")
        )

    for batch, numbers in stream_rows(source.path, names, source.dialect, BLOCK_BYTES, note):
        yield Part(dict(zip(names, batch.columns, strict=True)), numbers)
    yield from odd


def _json_lines(source: Source, names: Sequence[str]) -> Parts:
    rows: list[list[str | None]] = []
    numbers: list[int] = []
    for number, record in objects(source.path, source.dialect.encoding):
        row = _cells(record, names)
        if isinstance(row, str):
            yield Unreadable(number, row)
            continue
        rows.append(row)
        numbers.append(number)
        if len(rows) == PART_ROWS:
            yield _part(rows, numbers, names)
            rows, numbers = [], []
    if rows:
        yield _part(rows, numbers, names)


def _part(rows: Sequence[Sequence[str | None]], numbers: Sequence[int], names: Sequence[str]) -> Part:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return Part(dict(zip(names, columns, strict=True)), np.array(numbers, np.int64))


def _cells(record: Any, names: Sequence[str]) -> list[str | None] | str:
    """The named values as text, or the line's fault."""
    if isinstance(record, str):
        return record
    values = [record.get(name) for name in names]
    for name, value in zip(names, values, strict=True):
        if isinstance(value, list | dict | bool):
            return f"{name} is {value!r}, expected a text or a number"
        if isinstance(value, str) and not is_whole(value):
            return f"{name} holds half a character (a lone surrogate)"
    return [None if value is None else str(value) for value in values]


def _parquet(source: Source, names: Sequence[str]) -> Parts:
    number = 1
    with open_parquet(source.path) as file:
        for batch in file.iter_batches(PART_ROWS, columns=list(names)):
            columns = {name: batch.column(name) for name in names}
            yield Part(columns, np.arange(number, number + len(batch), dtype=np.int64))
            number += len(batch)
