"""JSON lines and Parquet: the header, and the rows in chunks."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from training.data.chunks import Chunk, Chunks, Header, chunk_of
from training.data.columns import Columns
from training.data.files import open_text
from training.data.strings import BATCH
from training.errors import DataError

SAMPLE_ROWS = 100

SEVERAL_LABELS = (
    "is a list, so a row has several labels. One class a row is learned: keep one label a row, or make a file "
    "for each label with yes and no, and a model of each"
)


def json_header(path: Path, encoding: str) -> Header:
    """The keys of the first objects, in their order."""
    sample = [
        record for _, record in islice(objects(path, encoding), SAMPLE_ROWS) if isinstance(record, dict)
    ]
    keys = dict.fromkeys(key for record in sample for key in record)
    return Header(path.name, tuple(keys), sample)


def read_json_lines(path: Path, columns: Columns, encoding: str) -> Chunks:
    """The rows; a line that is no JSON object, and a content that is no text, come as faults."""
    kept: list[tuple[str | None, str | None, int]] = []
    for number, record in objects(path, encoding):
        row = _cells(path, number, record, columns)
        if isinstance(row, str):
            yield number, row
            continue
        kept.append((*row, number))
        if len(kept) == BATCH:
            yield chunk_of(kept)
            kept.clear()
    if kept:
        yield chunk_of(kept)


def _cells(path: Path, number: int, record: Any, columns: Columns) -> tuple[str | None, str | None] | str:
    """Content and label, or the fault."""
    if isinstance(record, str):
        return record
    content, label = record.get(columns.content), record.get(columns.label)
    if content is not None and not isinstance(content, str):
        return f"{columns.content} is {content!r}, expected a text"
    if content is not None and not is_whole(content):
        return f"{columns.content} holds half a character (a lone surrogate)"
    if isinstance(label, list):
        raise DataError(f"{path.name}, row {number}: {columns.label} {SEVERAL_LABELS}")
    if isinstance(label, dict):
        return f"{columns.label} is {label!r}, expected a label"
    return content, None if label is None else str(label)


def is_whole(text: str) -> bool:
    """Whether each of its characters is whole: JSON can write half of a pair, a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def objects(path: Path, encoding: str) -> Iterator[tuple[int, Any]]:
    """Each line's number, and its object or its fault; empty lines are passed over."""
    with open_text(path, encoding) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                yield number, f"no JSON: {error.msg} at character {error.pos + 1}"
                continue
            yield number, record if isinstance(record, dict) else f"{record!r}, expected a JSON object"


def open_parquet(path: Path) -> Any:
    """pyarrow's `ParquetFile`; DataError where it is none."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path.name}: no Parquet file: {error}") from error


def parquet_header(path: Path) -> Header:
    """The columns, a few rows of those that hold no bytes, and the names behind the numbers of classes."""
    import pyarrow.types as kinds

    with open_parquet(path) as file:
        schema = file.schema_arrow
        light = [
            field.name for field in schema if not (kinds.is_struct(field.type) or kinds.is_binary(field.type))
        ]
        batch = next(file.iter_batches(SAMPLE_ROWS, columns=light), None)
        sample = [] if batch is None else batch.to_pylist()
        return Header(path.name, tuple(schema.names), sample, _class_names(schema.metadata or {}))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """From the schema's key `huggingface`, as the library datasets writes it."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            column: tuple(feature["names"])
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (KeyError, ValueError, TypeError):
        return {}


def read_parquet(path: Path, columns: Columns) -> Chunks:
    """The rows; DataError where the columns hold neither texts nor labels."""
    import pyarrow
    import pyarrow.types as kinds

    with open_parquet(path) as file:
        content, label = (file.schema_arrow.field(name).type for name in columns)
        values = content.value_type if kinds.is_dictionary(content) else content
        if not (kinds.is_string(values) or kinds.is_large_string(values)):
            raise DataError(f"{path.name}: {columns.content} holds {content}, expected texts")
        if kinds.is_list(label) or kinds.is_large_list(label):
            raise DataError(f"{path.name}: {columns.label} {SEVERAL_LABELS}")
        if kinds.is_nested(label):
            raise DataError(f"{path.name}: {columns.label} holds {label}, expected labels")
        number = 1
        for batch in file.iter_batches(BATCH, columns=list(columns)):
            numbers = np.arange(number, number + len(batch), dtype=np.int64)
            number += len(batch)
            contents = batch.column(columns.content).cast(pyarrow.string())
            yield Chunk(contents, batch.column(columns.label), numbers)
