"""Text data sets: the named ones, and the user's own table or folder of tables.

Splits are decided as far as their publishers did, and no text occurs twice: a training text that is also in test or
validation, or came before, is left out and reported.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.public_sets import PUBLIC_SETS, PublicSet
from training.data.public_texts import read_public
from training.data.splits import stratified_holdout
from training.data.tables import SUFFIXES, Row, Table, read_table
from training.errors import DataError

TEST_SHARE, TEST_SEED = 0.2, 20
"""A table without a test split: this share of each class is held out as test, before anything else."""

FEWEST_ROWS = 3
"""Rows of a class: one each to train on, to validate on and to test on."""


@dataclass(frozen=True)
class TextSet:
    """A data set as it was published; `validation` is empty where some of train is to be held out."""

    name: str
    classes: tuple[str, ...]
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    licence: str
    digest: str
    url: str | None
    skipped: tuple[str, ...] = ()


def load_texts(data: str, text_column: str, label_column: str, *, strict: bool) -> TextSet:
    """Read a named set, a table of text and label, or a folder with `train` and `test` (and `validation`).

    strict: stop at faulty rows, naming all, instead of skipping and reporting them.
    """
    if data in PUBLIC_SETS:
        if PUBLIC_SETS[data].task != "text":
            raise DataError(f"data set {data!r} is for {PUBLIC_SETS[data].task}, not for text")
        return without_repeats(_named(PUBLIC_SETS[data]))
    path = Path(data)
    if not path.exists():
        known = ", ".join(name for name, public in PUBLIC_SETS.items() if public.task == "text")
        raise DataError(f"--data {data!r} is neither a file, nor a folder, nor a named set ({known})")
    read = _read_folder if path.is_dir() else _read_file
    texts = without_repeats(read(path, text_column, label_column))
    if strict and texts.skipped:
        raise DataError(f"{path.name}: {len(texts.skipped)} faults:\n" + "\n".join(texts.skipped))
    return texts


def without_repeats(texts: TextSet) -> TextSet:
    """Leave out the training rows whose text is in test, in validation or earlier in train."""
    elsewhere = {row.text: (row, "test") for row in texts.test}
    elsewhere |= {row.text: (row, "validation") for row in texts.validation}
    train, faults = _first_of_each(texts.train, elsewhere)
    return replace(texts, train=train, skipped=(*texts.skipped, *faults))


def _first_of_each(
    rows: Iterable[Row], elsewhere: dict[str, tuple[Row, str]] | None = None
) -> tuple[list[Row], list[str]]:
    known = dict(elsewhere or {})
    kept: list[Row] = []
    faults: list[str] = []
    for row in rows:
        if row.text not in known:
            known[row.text] = row, ""
            kept.append(row)
            continue
        first, split = known[row.text]
        where = f"{first.where} of the {split} split" if split else first.where
        other = "" if first.label == row.label else f", with the label {row.label!r} and not {first.label!r}"
        faults.append(f"{row.where}: the same text as {where}{other}")
    return kept, faults


def _read_file(path: Path, text_column: str, label_column: str) -> TextSet:
    table = read_table(path, text_column, label_column)
    rows, repeats = _first_of_each(table.rows)
    classes = class_names(rows, path.name)
    labels = [classes.index(row.label) for row in rows]
    held = stratified_holdout(labels, max(round(len(rows) * TEST_SHARE), len(classes)), TEST_SEED)
    return _own(
        path,
        classes,
        train=[rows[number] for number in held.train],
        test=[rows[number] for number in held.held],
        faults=(*table.faults, *repeats),
        digest=_digest([path]),
    )


def _read_folder(root: Path, text_column: str, label_column: str) -> TextSet:
    files = {split: _split_file(root, split) for split in ("train", "validation", "test")}
    if missing := [split for split in ("train", "test") if files[split] is None]:
        expected = " and ".join(f"{split}.csv (or {', '.join(SUFFIXES[1:])})" for split in missing)
        raise DataError(f"{root}: expected {expected}")
    found = {split: path for split, path in files.items() if path is not None}
    tables = {split: read_table(path, text_column, label_column) for split, path in found.items()}
    classes = class_names(tables["train"].rows, found["train"].name)
    for split in tables.keys() - {"train"}:
        _check_labels(tables[split].rows, classes)
    return _own(
        root,
        classes,
        train=tables["train"].rows,
        test=tables["test"].rows,
        validation=tables.get("validation", Table([])).rows,
        faults=tuple(fault for table in tables.values() for fault in table.faults),
        digest=_digest(found.values()),
    )


def _split_file(root: Path, split: str) -> Path | None:
    found = [root / f"{split}{suffix}" for suffix in SUFFIXES if (root / f"{split}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{root}: {' and '.join(path.name for path in found)}: expected one of them")
    return found[0] if found else None


def class_names(rows: Iterable[Row], file: str) -> tuple[str, ...]:
    """The labels in order; `DataError` for one class, or one with too few rows to split."""
    counts = Counter(row.label for row in rows)
    if len(counts) < 2:
        only = f"every row has the label {next(iter(counts))!r}" if counts else "there is no good row"
        raise DataError(f"{file}: {only}; expected at least two classes")
    for row in rows:
        if counts[row.label] < FEWEST_ROWS:
            raise DataError(
                f"{row.where}: the label {row.label!r} has {counts[row.label]} rows, expected at least {FEWEST_ROWS}; "
                "is it a typing error?"
            )
    return tuple(sorted(counts))


def _check_labels(rows: Iterable[Row], classes: tuple[str, ...]) -> None:
    for row in rows:
        if row.label not in classes:
            raise DataError(f"{row.where}: the label {row.label!r} is not in train; it has {list(classes)}")


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


def _own(
    path: Path,
    classes: tuple[str, ...],
    *,
    train: list[Row],
    test: list[Row],
    faults: tuple[str, ...],
    digest: str,
    validation: list[Row] | None = None,
) -> TextSet:
    return TextSet(path.name, classes, train, validation or [], test, "the user's own", digest, None, faults)


def _named(public: PublicSet) -> TextSet:
    train, test, validation = read_public(public)
    digest = public.digest() if public.files else _content_digest(train + test)
    return TextSet(
        public.name, public.classes, train, validation, test, public.licence, digest, public.homepage
    )


def _content_digest(rows: Iterable[Row]) -> str:
    """Of a set that is composed here and has no files."""
    return hashlib.sha256("\n".join(f"{row.label}\t{row.text}" for row in rows).encode()).hexdigest()
