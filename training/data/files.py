"""How a table lies on disk: its format by the ends of its name, compression, and encoding.

A name's case does not matter, and `.gz`, `.bz2` and `.xz` may follow any format of lines. What stands in the table is
for `tables`.
"""

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from training.errors import DataError

Kind = Literal["csv", "tsv", "jsonl", "parquet"]

KINDS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

ENDINGS = f"{', '.join(KINDS)}, or one of lines with {', '.join(OPENERS)} after it"
"""The names that are read, as a message lists them."""

SAMPLE_BYTES = 1 << 18
"""Of a file's beginning, by which its encoding, separator and columns are found."""

UNREADABLE = (OSError, EOFError, lzma.LZMAError)
"""What opening or unpacking a file may raise."""

_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SUGGESTED = "cp1252"
"""Windows' own for western Europe: what a spreadsheet's "CSV" is in, where it is not UTF-8."""


class Format(NamedTuple):
    """What a file holds, and the suffix of its compression or nothing."""

    kind: Kind
    packed: str = ""

    @property
    def separator(self) -> str:
        """The usual one; empty where there is none."""
        return {"csv": ",", "tsv": "\t"}.get(self.kind, "")


def format_of(path: Path) -> Format | None:
    """By the name's ends; None where it is no table."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in OPENERS else ""
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None or (kind == "parquet" and packed):
        return None
    return Format(kind, packed)


def stem_of(path: Path) -> str:
    """A table's name without the ends that say its format."""
    found = format_of(path)
    return Path(path.stem).stem if found and found.packed else path.stem


def open_bytes(path: Path) -> IO[bytes]:
    """The content, unpacked."""
    found = format_of(path)
    stream: IO[bytes] = OPENERS[found.packed](path) if found and found.packed else path.open("rb")
    return stream


def open_text(path: Path, encoding: str, newline: str | None = None) -> IO[str]:
    """The content as characters; closing it closes the file."""
    return io.TextIOWrapper(open_bytes(path), encoding, newline=newline)


def read_sample(path: Path) -> bytes:
    """The first bytes of the content."""
    try:
        with open_bytes(path) as stream:
            return stream.read(SAMPLE_BYTES)
    except UNREADABLE as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from error


def find_encoding(path: Path, sample: bytes, encoding: str) -> str:
    """The encoding that was given, or the one that a byte order mark names, or UTF-8.

    DataError for UTF-16 without a mark, which can only be guessed.
    """
    if encoding:
        return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    if len(sample) > 1 and sample.count(0) * 4 > len(sample):  # every other byte of western letters
        guess = "utf-16-le" if sample[1] == 0 else "utf-16-be"
        raise DataError(
            f"{path.name}: not UTF-8, it is full of zero bytes. Is it UTF-16? "
            f"Give --encoding {guess}, or save it as UTF-8"
        )
    return "utf-8-sig"


def undecodable(path: Path, encoding: str) -> DataError:
    """The message on a file that is not in `encoding`: its first such line, and that in the usual other one."""
    asked = "UTF-8" if encoding == "utf-8-sig" else encoding
    try:
        found = _first_undecodable(path, encoding)
    except (UnicodeError, *UNREADABLE) as error:
        return DataError(f"{path.name}: not {asked}: {error}; name its encoding with --encoding")
    if found is None:
        return DataError(f"{path.name}: not {asked}; name its encoding with --encoding")
    number, line, byte = found
    reads = line.decode(_SUGGESTED, "replace").strip()
    shown = reads if len(reads) <= 80 else f"{reads[:80]}…"
    return DataError(
        f"{path.name}: not {asked} (byte 0x{byte:02x}) in line {number}. In {_SUGGESTED} that line reads {shown!r}: "
        f"if that is right give --encoding {_SUGGESTED}, else its own, or save the file as UTF-8"
    )


def _first_undecodable(path: Path, encoding: str) -> tuple[int, bytes, int] | None:
    """The number of the line, the line, and the byte; of encodings in which a line ends with the byte 10."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                return number, line[max(0, error.start - 40) :], line[error.start]
    return None
