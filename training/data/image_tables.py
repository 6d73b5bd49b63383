"""Tables of images: the images themselves in Parquet, or the names of files that lie in the table's folder.

Decoding is for `image_folder`; columns of labels are found as those of texts are.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.data.chunks import Header
from training.data.columns import LABEL, Columns, Wanted, find_column, names, unknown_columns
from training.data.files import format_of
from training.data.labelled import Labelled, Source
from training.data.labels import check_classes
from training.data.layout import visible
from training.data.records import open_parquet, parquet_header
from training.data.tables import Flags, label_of, open_table, read_table
from training.errors import DataError

IMAGE = Wanted("image", names("img picture photo pixels"))

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"})
"""Of the files that a name without a suffix may mean."""

LOOKED_UP = 100
"""Rows of a table whose values are looked up among the files."""

MOST_NAMED = 0.5
"""Share of those rows above which a column holds the names of files: a few may be missing."""

_BATCH = 64
"""Images of a Parquet file that are in memory at once."""


class FileNames:
    """The images under a folder by path, by name, and by name without the suffix."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, list[Path]] = {}
        for path in _images_under(root):
            for name in {path.relative_to(root).as_posix(), path.name, path.stem}:
                self._found.setdefault(name, []).append(path)

    def find(self, name: str, split: str = "") -> list[Path]:
        """The files that a cell may mean; of several those in the folder called `split`, if any."""
        found = self._found.get(name.strip().removeprefix("./"), [])
        if len(found) > 1 and split:
            inside = [path for path in found if path.relative_to(self._root).parts[0].lower() == split]
            return inside or found
        return found


def _images_under(root: Path) -> Iterator[Path]:
    for entry in visible(root):
        if entry.is_dir():
            yield from _images_under(entry)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry


def names_images(path: Path, flags: Flags, files: FileNames) -> bool:
    """Whether a table holds images or names them, and has labels."""
    header = open_table(path, flags).header
    try:
        if _bytes_columns(path):
            return True
        return (
            bool(flags.content or _columns_of_names(header, files))
            and _label_column(header, "", flags) is not None
        )
    except DataError:  # two columns of labels: it has some, and reading it says what is to be done
        return True


def table_source(
    paths: Sequence[Path], flags: Flags, files: FileNames, split: str
) -> tuple[Source, dict[str, str]]:
    """The images of one table, or of the pieces of one, and the columns that were found."""
    if (column := _bytes_column(paths[0], flags)) is not None:
        header = parquet_header(paths[0])
        columns = Columns(column, _label_column(header, column, flags) or _no_label(header))
        images = (image for path in paths for image in _in_parquet(path, columns, files))
        return Source(paths[0].name, images), {flags.content_setting: column, "label_column": columns.label}
    images_of: list[Labelled] = []
    faults: list[str] = []
    for path in paths:
        table = read_table(path, flags, lambda header: _choose(header, flags, files))
        check_classes(path.name, table.columns.label, table.rows.counts())
        faults += table.faults
        for row in table.rows:
            found = files.find(row.text, split)
            if len(found) == 1:
                images_of.append(Labelled(found[0], row.label, str(found[0])))
            else:
                faults.append(f"{row.where}: {_unclear(row.text, found)}")
    return Source(paths[0].name, images_of, faults), table.choices


def _unclear(name: str, found: Sequence[Path]) -> str:
    if not found:
        return f"there is no image {name!r}"
    return f"{name!r} may be {' or '.join(str(path) for path in found[:2])}"


def _choose(header: Header, flags: Flags, files: FileNames) -> Columns:
    """The column whose values are names of files, and that of labels."""
    if flags.content:
        content = find_column(header.file, header.columns, IMAGE, flags.content) or ""
    else:
        named = _columns_of_names(header, files)
        if not named:
            raise DataError(
                f"{header.file}: no column names images that lie beside it; it has "
                f"{', '.join(map(repr, header.columns))}. Name yours with {IMAGE.flag}"
            )
        if len(named) > 1:
            raise DataError(
                f"{header.file}: the images may be named by {' or '.join(map(repr, named))}. "
                f"Say which with {IMAGE.flag}"
            )
        content = named[0]
    return Columns(content, _label_column(header, content, flags) or _no_label(header))


def _columns_of_names(header: Header, files: FileNames) -> list[str]:
    rows = header.sample[:LOOKED_UP]
    return [
        column
        for column in dict.fromkeys(header.columns)
        if rows and sum(bool(files.find(_text(row.get(column)))) for row in rows) > MOST_NAMED * len(rows)
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _label_column(header: Header, content: str, flags: Flags) -> str | None:
    """By flag or usual name, or the only column besides the images."""
    if found := find_column(header.file, header.columns, LABEL, flags.label):
        return found
    others = [column for column in header.columns if column != content]
    return others[0] if content and len(others) == 1 else None


def _no_label(header: Header) -> str:
    raise unknown_columns(header.file, header.columns, [LABEL])


def _bytes_columns(path: Path) -> list[str]:
    """Columns of a Parquet file that hold images: bytes, or Hugging Face's pairs of bytes and path."""
    import pyarrow.types as kinds

    found = format_of(path)
    if found is None or found.kind != "parquet":
        return []
    with open_parquet(path) as file:
        return [
            field.name
            for field in file.schema_arrow
            if kinds.is_binary(field.type)
            or kinds.is_large_binary(field.type)
            or (kinds.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
        ]


def _bytes_column(path: Path, flags: Flags) -> str | None:
    columns = _bytes_columns(path)
    if flags.content:
        return flags.content if flags.content in columns else None
    if len(columns) > 1:
        raise DataError(
            f"{path.name}: the images may be in {' or '.join(map(repr, columns))}. Say which with {IMAGE.flag}"
        )
    return columns[0] if columns else None


def _in_parquet(path: Path, columns: Columns, files: FileNames) -> Iterator[Labelled]:
    class_names: Mapping[str, tuple[str, ...]] = parquet_header(path).class_names
    number = 0
    with open_parquet(path) as file:
        for batch in file.iter_batches(_BATCH, columns=list(columns)):
            for cell, value in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                number += 1
                label = label_of(value, class_names.get(columns.label, ()))
                yield Labelled(_content(cell, files), label, f"{path.name}, row {number}")


def _content(cell: Any, files: FileNames) -> Path | bytes:
    """The bytes; those of the file that is named, where there are none."""
    if isinstance(cell, bytes):
        return cell
    if not cell:
        return b""
    found = [] if cell["bytes"] else files.find(_text(cell.get("path")))
    return found[0] if len(found) == 1 else cell["bytes"] or b""
