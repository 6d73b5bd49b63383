"""Where a user's images are: folders by class, folders of train, val and test, or tables that hold or name them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from training.data.image_tables import FileNames, names_images, table_source
from training.data.labelled import Labelled, Source
from training.data.layout import split_folders, split_tables, tables_in, visible
from training.data.tables import Flags
from training.errors import DataError

log = logging.getLogger(__name__)

_TEMPLATE = "sample_submission"
"""A contest's form for answers: a table of images that holds no labels."""


def find_sources(root: Path, flags: Flags) -> tuple[dict[str, Source], dict[str, str]]:
    """The parts of a data set by name, train among them, and the columns that were found in a table."""
    if root.is_file():
        return _tables({"train": [root]}, flags, FileNames(root.parent))
    if folders := split_folders(root):
        return _split_folders(root, folders), {}
    if tables := _tables_of(root, flags):
        return tables
    _check_classes(root)
    return {"train": _folder(root)}, {}


def _tables_of(root: Path, flags: Flags) -> tuple[dict[str, Source], dict[str, str]] | None:
    """The tables of the parts, or the only table that says what the images are; None where there is none."""
    tables = split_tables(root)
    if not (tables or tables_in(root)):
        return None
    files = FileNames(root)
    if not tables:
        only = _only_table(root, flags, files)
        return _tables({"train": [only]}, flags, files) if only else None
    named = {split: paths for split, paths in tables.items() if names_images(paths[0], flags, files)}
    for split in tables.keys() - named.keys():
        log.warning("%s names no images with labels: it is left out", tables[split][0])
    return _tables(named, flags, files) if "train" in named else None


def _only_table(root: Path, flags: Flags, files: FileNames) -> Path | None:
    found = [path for path in tables_in(root) if not path.stem.lower().startswith(_TEMPLATE)]
    naming = [path for path in found if names_images(path, flags, files)]
    if len(naming) > 1:
        listed = " or ".join(path.name for path in naming)
        raise DataError(f"{root}: the images may be those of {listed}; give one of them as --data")
    return naming[0] if naming else None


def _tables(
    tables: Mapping[str, list[Path]], flags: Flags, files: FileNames
) -> tuple[dict[str, Source], dict[str, str]]:
    read = {split: table_source(paths, flags, files, split) for split, paths in tables.items()}
    return {split: source for split, (source, _) in read.items()}, read["train"][1]


def _split_folders(root: Path, folders: Mapping[str, Path]) -> dict[str, Source]:
    """A part without folders of classes has no labels, and is left out."""
    _check_classes(folders["train"])
    labelled = {split: folder for split, folder in folders.items() if _class_names(folder)}
    for split in folders.keys() - labelled.keys():
        log.warning("%s holds no folders of classes: it is left out", folders[split])
    if others := [name for name in _class_names(root) if root / name not in folders.values()]:
        log.warning("%s: %s beside the folder for training is left out", root, ", ".join(others))
    return {split: _folder(folder) for split, folder in labelled.items()}


def _check_classes(root: Path) -> None:
    if len(names := _class_names(root)) < 2:
        raise DataError(f"{root}: expected a folder for each of at least two classes, found {names}")


def _class_names(root: Path) -> list[str]:
    return [entry.name for entry in visible(root) if entry.is_dir()]


def _folder(root: Path) -> Source:
    return Source(str(root), _by_class(root), classes=_class_names(root))


def _by_class(root: Path) -> Iterator[Labelled]:
    """Every file in the folder of each class, the classes in order."""
    for name in _class_names(root):
        for path in sorted(path for path in (root / name).rglob("*") if path.is_file()):
            if not path.name.startswith("."):
                yield Labelled(path, name, str(path))
