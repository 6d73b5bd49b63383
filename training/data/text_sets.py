"""Text data sets: the named ones, and the user's own table or folder of tables.

Splits are decided as far as their publishers did, and no text occurs twice: a training text that is also in test or
validation, or came before, is left out and reported.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.data.faults import refuse
from training.data.files import ENDINGS
from training.data.labels import FEWEST_ROWS, check_classes, keep_classes, only_known
from training.data.layout import split_tables, tables_in
from training.data.public_sets import PUBLIC_SETS, PublicSet
from training.data.public_texts import read_public
from training.data.repeats import first_of_each
from training.data.rows import Row, Rows, joined
from training.data.splits import stratified_holdout
from training.data.tables import Flags, Table, open_table, read_table
from training.errors import DataError

log = logging.getLogger(__name__)

TEST_SHARE, TEST_SEED = 0.2, 20
"""Data without a test split: this share of each class is held out as test, before anything else."""


@dataclass(frozen=True)
class TextSet:
    """A data set as it was published; `validation` is empty where some of train is to be held out.

    choices: what was found out of the files and not said by a flag, such as the columns.
    """

    name: str
    classes: tuple[str, ...]
    train: Rows
    validation: Rows
    test: Rows
    licence: str
    digest: str
    url: str | None
    skipped: tuple[str, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)


def load_texts(
    data: str,
    text_column: str = "",
    label_column: str = "",
    *,
    strict: bool,
    encoding: str = "",
    separator: str = "",
) -> TextSet:
    """Read a named set, a table of text and label, or a folder of tables for train, validation and test.

    An empty column, encoding or separator is found out. strict: stop at faulty rows instead of skipping and reporting
    them.
    """
    if data in PUBLIC_SETS:
        if PUBLIC_SETS[data].task != "text":
            raise DataError(f"data set {data!r} is for {PUBLIC_SETS[data].task}, not for text")
        return without_repeats(_named(PUBLIC_SETS[data]))
    path = Path(data)
    if not path.exists():
        known = ", ".join(name for name, public in PUBLIC_SETS.items() if public.task == "text")
        raise DataError(f"--data {data!r} is neither a file, nor a folder, nor a named set ({known})")
    texts = _own(path, Flags(text_column, label_column, encoding, separator))
    if strict:
        refuse(path.name, texts.skipped)
    return texts


def without_repeats(texts: TextSet) -> TextSet:
    """Leave out the training rows whose text is in test, in validation or earlier in train."""
    train, faults = first_of_each(texts.train, (("test", texts.test), ("validation", texts.validation)))
    return replace(texts, train=train, skipped=(*texts.skipped, *faults))


def _own(path: Path, flags: Flags) -> TextSet:
    """Read the user's files, and hold a test split out of train where there is none."""
    files = _files_of(path) if path.is_dir() else {"train": [path]}
    tables = _read_all(files, flags)
    train, columns = tables["train"], tables["train"].columns
    check_classes(files["train"][0].name, columns.label, train.rows.counts())
    given = {split: tables[split].rows for split in ("test", "validation") if split in tables}
    rows, repeats = first_of_each(train.rows, tuple(given.items()))
    fewest = FEWEST_ROWS - len(given)
    rows, classes, rare = keep_classes(files["train"][0].name, rows, fewest)
    faults = [fault for table in tables.values() for fault in table.faults] + repeats + rare
    for split, part in given.items():
        given[split], unknown = only_known(part, classes)
        faults += unknown
    if "test" not in given:
        rows, given["test"] = _hold_test_out(rows, classes)
    elif not len(given["test"]):
        raise DataError(f"{files['test'][0].name}: there is no good row to test on")
    return TextSet(
        name=path.name,
        classes=classes,
        train=rows,
        validation=given.get("validation", Rows.of("", ())),
        test=given["test"],
        licence="the user's own",
        digest=_digest(path for split in tables for path in files[split]),
        url=None,
        skipped=tuple(faults),
        choices=train.choices,
    )


def _hold_test_out(rows: Rows, classes: Sequence[str]) -> tuple[Rows, Rows]:
    size = max(round(len(rows) * TEST_SHARE), len(classes))
    held = stratified_holdout(rows.classes(classes), size, TEST_SEED)
    return rows.take(held.train), rows.take(held.held)


def _files_of(root: Path) -> dict[str, list[Path]]:
    """The tables of each part; one table alone is all that there is."""
    files = split_tables(root)
    if not files and len(alone := tables_in(root)) == 1:
        files = {"train": alone}
    if "train" not in files:
        raise DataError(
            f"{root}: expected a table of texts called train, and test if there is one ({ENDINGS})"
        )
    if "test" not in files:
        log.info(
            "%s: no test split, so %d %% of each class is held out of train", root.name, TEST_SHARE * 100
        )
    return files


def _read_all(files: Mapping[str, Sequence[Path]], flags: Flags) -> dict[str, Table]:
    """The tables by part, train first: its columns are those of all. A test without labels is none, and left out."""
    train = _read_part(files["train"], flags)
    flags = replace(flags, content=train.columns.content, label=train.columns.label)
    tables = {"train": train}
    for split in ("validation", "test"):
        if split not in files:
            continue
        if split == "test" and flags.label not in open_table(files[split][0], flags).header.columns:
            log.warning(
                "%s has no column %r: it is left out, and a test split is held out of train",
                files[split][0].name,
                flags.label,
            )
            continue
        tables[split] = _read_part(files[split], flags)
    return tables


def _read_part(paths: Sequence[Path], flags: Flags) -> Table:
    """One table, or its pieces as one."""
    tables = [read_table(path, flags) for path in paths]
    if len(tables) == 1:
        return tables[0]
    faults = [fault for table in tables for fault in table.faults]
    return replace(tables[0], rows=joined([table.rows for table in tables]), faults=faults)


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def _named(public: PublicSet) -> TextSet:
    train, test, validation = read_public(public)
    digest = public.digest() if public.files else _content_digest([*train, *test])
    return TextSet(
        public.name, public.classes, train, validation, test, public.licence, digest, public.homepage
    )


def _content_digest(rows: Iterable[Row]) -> str:
    """Of a set that is composed here and has no files."""
    return hashlib.sha256("\n".join(f"{row.label}\t{row.text}" for row in rows).encode()).hexdigest()
