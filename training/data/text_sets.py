"""Text data sets: the named ones, and the user's own table or folder of tables.

What comes out has its splits decided as far as their publishers did, and no text twice: a training text that
is also in test or validation, or was there before, is left out and reported.
"""

import csv
import gzip
import hashlib
import lzma
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from training.data import tickets
from training.data.sources import PUBLIC_SETS, local_files
from training.data.splits import stratified_holdout
from training.data.tables import SUFFIXES, Row, Table, read_table
from training.errors import DataError

# A table without a test split: this share of each class is held out as test, before anything else.
TEST_SHARE = 0.2
TEST_SEED = 20
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
        return without_repeats(_READERS[data](data))
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
    rows: Iterable[Row], seen: dict[str, tuple[Row, str]] | None = None
) -> tuple[list[Row], list[str]]:
    known = dict(seen or {})
    kept: list[Row] = []
    faults: list[str] = []
    for row in rows:
        if row.text not in known:
            known[row.text] = row, ""
            kept.append(row)
            continue
        first, split = known[row.text]
        place = f"{first.where} of the {split} split" if split else first.where
        other = "" if first.label == row.label else f", with the label {row.label!r} and not {first.label!r}"
        faults.append(f"{row.where}: the same text as {place}{other}")
    return kept, faults


# The user's own


def _read_file(path: Path, text_column: str, label_column: str) -> TextSet:
    table = read_table(path, text_column, label_column)
    rows, repeats = _first_of_each(table.rows)
    classes = class_names(rows, path.name)
    labels = [classes.index(row.label) for row in rows]
    held = stratified_holdout(labels, max(round(len(rows) * TEST_SHARE), len(classes)), TEST_SEED)
    return _own(
        path,
        classes,
        train=[rows[place] for place in held.train],
        test=[rows[place] for place in held.held],
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


# The named ones


def _named(
    name: str, train: list[Row], test: list[Row], validation: list[Row] | None = None, digest: str = ""
) -> TextSet:
    public = PUBLIC_SETS[name]
    return TextSet(
        name,
        public.classes,
        train,
        validation or [],
        test,
        public.licence,
        digest or public.digest(),
        public.homepage,
    )


def _rows(file: str, pairs: Iterable[tuple[str, str]]) -> list[Row]:
    return [Row(text, label, f"{file}, row {number}") for number, (text, label) in enumerate(pairs, start=2)]


def _open(path: Path) -> AbstractContextManager[IO[str]]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return gzip.open(path, "rt", encoding="utf-8", newline="")


def _read_imdb(name: str) -> TextSet:
    classes = PUBLIC_SETS[name].classes

    def pairs(path: Path) -> Iterator[tuple[str, str]]:
        with _open(path) as stream:
            for row in csv.DictReader(stream):
                yield row["text"], classes[int(row["label"])]

    train, test = local_files(PUBLIC_SETS[name])
    return _named(name, _rows("train", pairs(train)), _rows("test", pairs(test)))


def _read_sst2(name: str) -> TextSet:
    """Phrases to train on, sentences to validate and test on, as in Kim 2014."""
    classes = PUBLIC_SETS[name].classes

    def pairs(path: Path) -> Iterator[tuple[str, str]]:
        with _open(path) as stream:
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield row["sentence"].strip(), classes[int(row["label"])]

    files = zip(("train", "dev", "test"), local_files(PUBLIC_SETS[name]), strict=True)
    train, validation, test = (_rows(split, pairs(path)) for split, path in files)
    return _named(name, train, test, validation)


def _read_ag_news(name: str) -> TextSet:
    """Training articles come as tokens; the test articles are made into tokens the same way."""
    classes = PUBLIC_SETS[name].classes
    train, test = local_files(PUBLIC_SETS[name])
    with _open(train) as stream:
        train_rows = _rows(
            "train", [(row["text"], classes[int(row["label"]) - 1]) for row in csv.DictReader(stream)]
        )
    with _open(test) as stream:
        test_rows = _rows(
            "test",
            [
                (news_tokens(f"{title} {text}"), classes[int(label) - 1])
                for label, title, text in csv.reader(stream)
            ],
        )
    return _named(name, train_rows, test_rows)


def news_tokens(text: str) -> str:
    """The replacements that the stored training file was made with, in their order (its README)."""
    text = text.lower().replace("'", " ' ").replace('"', "")
    for mark in ".,()!?":
        text = text.replace(mark, f" {mark} ")
    return " ".join(text.replace(";", " ").replace(":", " ").split()[:200])


def _read_tickets(name: str) -> TextSet:
    train, test = (
        _rows(split, rows) for split, rows in zip(("train", "test"), tickets.compose(), strict=True)
    )
    whole = hashlib.sha256("\n".join(f"{row.label}\t{row.text}" for row in train + test).encode())
    return _named(name, train, test, digest=whole.hexdigest())


_READERS: dict[str, Callable[[str], TextSet]] = {
    "ag_news": _read_ag_news,
    "imdb": _read_imdb,
    "sst2": _read_sst2,
    "tickets": _read_tickets,
}
