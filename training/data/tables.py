"""Tables of content and label: any format that `files` knows, read in chunks, with every faulty row named.

Rows are numbered as a spreadsheet shows them: the header of a table with separators is row 1. A line of JSON and a row
of Parquet count from 1.
"""

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.data.chunks import Chunk, Chunks, Header
from training.data.columns import Columns, find_columns
from training.data.delimited import (
    SEPARATORS,
    Dialect,
    find_separator,
    read_by_csv,
    read_delimited,
    read_header,
)
from training.data.files import (
    ENDINGS,
    UNREADABLE,
    Format,
    find_encoding,
    format_of,
    read_sample,
    undecodable,
)
from training.data.records import json_header, parquet_header, read_json_lines, read_parquet
from training.data.rows import Rows, RowsBuilder
from training.errors import DataError

log = logging.getLogger(__name__)

TEXT_AND_LABEL = Columns("text", "label")

_BLANK = re.compile(r"(?:\s|<br ?/?>)*", re.IGNORECASE)
"""A text without a word: the tokenizer takes the tags of line breaks for blanks."""
_MAY_BE_BLANK = np.isin(np.arange(256), [*range(33), ord("<"), 0xC2, 0xE1, 0xE2, 0xE3])
"""First bytes of a text that may be blank: control characters, a tag, and the first bytes of Unicode's blanks."""


@dataclass(frozen=True)
class Flags:
    """What the command says of a table; empty: found out and said."""

    content: str = ""
    label: str = ""
    encoding: str = ""
    separator: str = ""
    content_flag: str = "--text-column"

    @property
    def content_setting(self) -> str:
        """The setting of that flag, as the manifest names it."""
        return self.content_flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True)
class Table:
    """The good rows of a file, a line on every other, and the choices that were made where no flag said."""

    rows: Rows
    faults: list[str] = field(default_factory=list)
    columns: Columns = TEXT_AND_LABEL
    choices: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A table whose beginning was read: its format, how it is written, and its header."""

    path: Path
    format: Format
    dialect: Dialect
    header: Header


Choose = Callable[[Header], Columns]


def open_table(path: Path, flags: Flags = Flags()) -> Source:
    """Look at a file's beginning; DataError where it is no table or in another encoding."""
    found = format_of(path)
    if found is None:
        raise DataError(f"{path.name}: expected a file that ends in {ENDINGS}{_hint(path)}")
    if found.kind == "parquet":
        return Source(path, found, Dialect("", ""), parquet_header(path))
    sample = read_sample(path)
    encoding = find_encoding(path, sample, flags.encoding)
    try:
        if found.kind == "jsonl":
            return Source(path, found, Dialect(encoding, ""), json_header(path, encoding))
        text = sample.decode(encoding, "ignore")
        separator = flags.separator or find_separator(text, found.separator)
        dialect = Dialect(encoding, separator)
        return Source(path, found, dialect, read_header(path, dialect, text))
    except UnicodeError as error:
        raise undecodable(path, encoding) from error


def _hint(path: Path) -> str:
    return {
        ".xlsx": "; save the sheet as CSV in UTF-8",
        ".xls": "; save the sheet as CSV in UTF-8",
        ".ods": "; save the sheet as CSV in UTF-8",
        ".zip": "; unpack it first",
    }.get(path.suffix.lower(), "")


def read_table(path: Path, flags: Flags = Flags(), choose: Choose | None = None) -> Table:
    """Read a file by its suffix; `DataError` where the file as a whole is unusable.

    choose: which columns hold content and label, where the flags do not say; by their usual names if not given.
    """
    source = open_table(path, flags)
    columns = (
        choose(source.header)
        if choose
        else find_columns(path.name, source.header.columns, flags.content, flags.label)
    )
    choices = _choices(source, columns, flags)
    try:
        return _read(source, columns, choices)
    except UnicodeError as error:
        raise undecodable(path, source.dialect.encoding) from error
    except UNREADABLE as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from error


def _choices(source: Source, columns: Columns, flags: Flags) -> dict[str, str]:
    """What was found out and not said by a flag, told in the log where it is not the rule."""
    choices = {}
    if (columns.content, columns.label) != (flags.content, flags.label):
        choices = {flags.content_setting: columns.content, "label_column": columns.label}
        if columns != TEXT_AND_LABEL:
            log.info(
                "%s: %r is taken as %s and %r as --label-column, by their names; a flag says otherwise",
                *(source.path.name, columns.content, flags.content_flag, columns.label),
            )
    if not flags.separator and source.dialect.separator != source.format.separator:
        choices["separator"] = source.dialect.separator
        named = SEPARATORS[source.dialect.separator]
        log.info("%s: cells are separated by a %s (--separator rules)", source.path.name, named)
    if source.dialect.encoding.startswith("utf-16") and not flags.encoding:
        choices["encoding"] = source.dialect.encoding
        log.info("%s: read as UTF-16, as its first bytes say (--encoding rules)", source.path.name)
    return choices


def _read(source: Source, columns: Columns, choices: dict[str, str]) -> Table:
    import pyarrow

    if source.format.kind == "parquet":
        return _collect(source, read_parquet(source.path, columns), columns, choices)
    if source.format.kind == "jsonl":
        chunks = read_json_lines(source.path, columns, source.dialect.encoding)
        return _collect(source, chunks, columns, choices)
    try:
        chunks = read_delimited(source.path, columns, source.dialect, source.header.columns)
        return _collect(source, chunks, columns, choices)
    except pyarrow.ArrowInvalid:
        # A cell longer than a block, or bytes in another encoding: the csv module says where.
        chunks = read_by_csv(source.path, columns, source.dialect, source.header.columns)
        return _collect(source, chunks, columns, choices)


def _collect(source: Source, chunks: Chunks, columns: Columns, choices: dict[str, str]) -> Table:
    """The good rows of all chunks; faults in the order of the file."""
    builder = RowsBuilder()
    faults: list[tuple[int, str]] = []
    names = source.header.class_names.get(columns.label, ())
    for chunk in chunks:
        if isinstance(chunk, Chunk):
            faults += _add(builder, source.path.name, chunk, columns, names)
        else:
            faults.append(chunk)
    lines = [f"{source.path.name}, row {number}: {fault}" for number, fault in sorted(faults)]
    return Table(builder.build(), lines, columns, choices)


def _add(
    builder: RowsBuilder, file: str, chunk: Chunk, columns: Columns, names: Sequence[str]
) -> list[tuple[int, str]]:
    """Append the chunk's good rows; the faults of the others."""
    contents = chunk.contents.fill_null("")
    encoded = chunk.labels.dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    labels = [label_of(value, names) for value in encoded.dictionary.to_pylist()]
    without_text = _blank(contents)
    without_label = np.array([not label for label in labels], bool)[codes]
    bad = without_text | without_label
    if not bad.any():
        builder.add_arrow(file, contents, codes, labels, chunk.numbers)
        return []
    import pyarrow

    good = ~bad
    builder.add_arrow(file, contents.filter(pyarrow.array(good)), codes[good], labels, chunk.numbers[good])
    return [
        (
            int(chunk.numbers[row]),
            f"{columns.content} is empty"
            if without_text[row]
            else f"{columns.label} is empty{_open_quote(contents[int(row)].as_py(), columns)}",
        )
        for row in np.flatnonzero(bad)
    ]


def label_of(value: Any, names: Sequence[str] = ()) -> str:
    """A label's name as it is published: empty where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    return str(value).strip()


def _open_quote(text: str, columns: Columns) -> str:
    lines = text.count("\n") + 1
    return f"; its {columns.content} runs over {lines} lines, is a quote left open?" if lines > 1 else ""


def _blank(texts: Any) -> Any:
    """bool [rows]: which texts hold no word. Only those whose first byte allows it are looked at."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    starts, empty = offsets[:-1], offsets[:-1] == offsets[1:]
    if texts.buffers()[2] is None or not texts.buffers()[2].size:
        return empty
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    suspect = ~empty & _MAY_BE_BLANK[data[np.minimum(starts, len(data) - 1)]]
    for row in np.flatnonzero(suspect).tolist():
        if _BLANK.fullmatch(texts[row].as_py()):
            empty[row] = True
    return empty
