"""The parts of a data set by any of their usual names: folders or tables called train, val, test and the like."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from training.data.files import format_of, stem_of
from training.errors import DataError

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The usual names of each part."""

SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}

# As Hugging Face names the pieces of a part: train-00000-of-00002.parquet, with a digest behind it in older sets.
_PIECE = re.compile(r"-\d+-of-\d+(-[0-9a-f]+)?$")


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each part; none unless train has folders of classes, since a class may be called train."""
    entries = [entry for entry in visible(root) if entry.is_dir() and entry.name.lower() in SPLIT_OF]
    found = _one_each(root, entries, lambda entry: SPLIT_OF[entry.name.lower()])
    train = found.get("train")
    if train is None or not any(entry.is_dir() for entry in visible(train)):
        return {}
    return found


def split_tables(root: Path) -> dict[str, list[Path]]:
    """The tables of each part, in `root` or its folder `data`; a part may lie in several pieces."""
    for folder in (root, root / "data"):
        tables = [entry for entry in visible(folder) if _split_of(entry)] if folder.is_dir() else []
        if tables:
            pieces = {split: [one for one in tables if _split_of(one) == split] for split in SPLITS}
            return {split: _pieces(root, found) for split, found in pieces.items() if found}
    return {}


def tables_in(root: Path) -> list[Path]:
    """Every table that lies in the folder itself."""
    return [entry for entry in visible(root) if entry.is_file() and format_of(entry)]


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without hidden entries."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX")))


def _split_of(path: Path) -> str | None:
    if not path.is_file() or format_of(path) is None:
        return None
    return SPLIT_OF.get(_PIECE.sub("", stem_of(path).lower()))


def _pieces(root: Path, found: list[Path]) -> list[Path]:
    """One file, or the numbered pieces of one."""
    whole = [path for path in found if not _PIECE.search(stem_of(path).lower())]
    if whole and len(found) > 1:
        raise DataError(f"{root}: {' and '.join(path.name for path in found)}: expected one of them")
    return found


def _one_each(root: Path, entries: Iterable[Path], split: Callable[[Path], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for entry in entries:
        other = found.setdefault(split(entry), entry)
        if other != entry:
            raise DataError(f"{root}: {other.name} and {entry.name}: expected one of them")
    return found
