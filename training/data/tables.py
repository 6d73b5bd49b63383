"""Tables of text and label: CSV, TSV, JSON lines and Parquet, with every faulty row named.

Rows are numbered as a spreadsheet shows them: the header of a CSV file is row 1. A line of JSON and a row of
Parquet count from 1.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from training.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_LONGEST_CELL = 1 << 24
"""Characters: the csv module's own limit of 131,072 is shorter than a long article."""

Record = tuple[int, Any]
"""Row number, and the row: a mapping by column, or an exception's text where it could not be read."""


class Row(NamedTuple):
    """One text with its label, its file and row."""

    text: str
    label: str
    where: str


@dataclass(frozen=True)
class Table:
    """The good rows of a file, and a line on every other."""

    rows: list[Row]
    faults: list[str] = field(default_factory=list)


def read_table(path: Path, text_column: str, label_column: str) -> Table:
    """Read a file by its suffix; `DataError` where the file as a whole is unusable."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path.name}: expected a file that ends in {', '.join(SUFFIXES)}")
    table = Table([])
    try:
        for number, record in _records(path, (text_column, label_column)):
            where = f"{path.name}, row {number}"
            row = _row(record, text_column, label_column, where)
            if isinstance(row, Row):
                table.rows.append(row)
            else:
                table.faults.append(row)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name}: not UTF-8 (byte 0x{error.object[error.start]:02x}); save it as UTF-8"
        ) from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from error
    return table


def _row(record: Any, text_column: str, label_column: str, where: str) -> Row | str:
    """The row, or its fault."""
    if isinstance(record, str):
        return f"{where}: {record}"
    text, label = record.get(text_column), record.get(label_column)
    if not isinstance(text, str) and text is not None:
        return f"{where}: {text_column} is {text!r}, expected a text"
    if text is None or not text.strip():
        return f"{where}: {text_column} is empty"
    if label is None or not str(label).strip():
        lines = text.count("\n") + 1
        open_quote = (
            f"; its {text_column} runs over {lines} lines, is a quote left open?" if lines > 1 else ""
        )
        return f"{where}: {label_column} is empty{open_quote}"
    return Row(text, str(label).strip(), where)


def _records(path: Path, expected: tuple[str, str]) -> Iterator[Record]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, expected)
    if suffix == ".jsonl":
        return _json_lines(path)
    return _delimited(path, expected, "\t" if suffix == ".tsv" else ",")


def _delimited(path: Path, expected: tuple[str, str], delimiter: str) -> Iterator[Record]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as stream:  # a spreadsheet may begin with a byte mark
        reader = csv.DictReader(stream, delimiter=delimiter)
        _check_columns(path, reader.fieldnames or (), expected)
        for number, record in enumerate(reader, start=2):
            if None in record:
                yield number, f"{len(record[None])} more cells than the header has columns"
            else:
                yield number, record


def _json_lines(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                yield number, f"no JSON: {error.msg} at character {error.pos + 1}"
                continue
            yield number, record if isinstance(record, dict) else f"{record!r}, expected a JSON object"


def _parquet(path: Path, expected: tuple[str, str]) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path.name}: no Parquet file: {error}") from error
    _check_columns(path, file.schema_arrow.names, expected)
    number = 0
    for batch in file.iter_batches(columns=list(expected)):
        for record in batch.to_pylist():
            number += 1
            yield number, record


def _check_columns(path: Path, columns: Iterable[str], expected: tuple[str, str]) -> None:
    there = list(columns)
    if missing := [column for column in expected if column not in there]:
        raise DataError(
            f"{path.name}: no column {' or '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, there)) or 'none, is the file empty?'}. "
            "Name yours with --text-column and --label-column"
        )
