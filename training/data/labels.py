"""Whether a column of labels holds classes to learn: each with enough rows, one a row, and no measured numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from training.data.rows import Rows
from training.errors import DataError

FEWEST_ROWS = 3
"""Rows of a class: one each to train on, to validate on and to test on."""

SEPARATORS = ("|", ";", ",")
"""Between the labels of a row that has several."""

MANY_VALUES = 20
"""Different fractions among the labels above which they are measurements: half stars from 0 to 5 are eleven."""

SHOWN = 5


def check_classes(file: str, column: str, counts: Mapping[str, int]) -> None:
    """DataError where the labels are several a row, or numbers to be predicted as such.

    counts: rows of each label.
    """
    for check in (_check_several, _check_measured):
        check(file, column, counts)


def _check_several(file: str, column: str, counts: Mapping[str, int]) -> None:
    """Several labels a row: parts of them come again in other rows, so that there are fewer parts than labels."""
    for separator in SEPARATORS:
        joined = [label for label in counts if separator in label]
        parts = {part.strip() for label in counts for part in label.split(separator)}
        if joined and len(parts) < len(counts) and "" not in parts:
            example = max(joined, key=lambda label: counts[label])
            raise DataError(
                f"{file}: {column} such as {example!r} names several labels a row ({len(parts)} in all, multi-label). "
                f"One class a row is learned: keep one of them, or make a column of yes and no for each and a model "
                f"of each by --label-column. If {example!r} is one class, write it without {separator!r}"
            )


def _check_measured(file: str, column: str, counts: Mapping[str, int]) -> None:
    """Numbers with fractions, and many of them: no classes."""
    if len(counts) <= MANY_VALUES or len(values := _numbers(counts)) < len(counts):
        return
    fractions = [value for value in values if value != int(value)]
    if len(fractions) * 2 > len(values):
        raise DataError(
            f"{file}: {column} holds {len(counts):,} different numbers from {min(values):g} to {max(values):g}, "
            "a target of regression. Only classes are learned: make a column of ranges, such as low, middle and high"
        )


def _numbers(labels: Mapping[str, int]) -> list[float]:
    found = []
    for label in labels:
        try:
            value = float(label)
        except ValueError:
            return []
        if not np.isfinite(value):
            return []
        found.append(value)
    return found


def keep_classes(file: str, rows: Rows, fewest: int = FEWEST_ROWS) -> tuple[Rows, tuple[str, ...], list[str]]:
    """The rows of classes that have `fewest` of them, the classes in order, and a line on each other class.

    A class with fewer cannot be learned, validated and scored, and is a typing error more often than a class; an answer
    that no figure speaks for is none to publish. DataError where fewer than two classes are left.
    """
    counts = rows.counts()
    kept = tuple(label for label, count in counts.items() if count >= fewest)
    if len(counts) < 2:
        only = f"every row has the label {next(iter(counts))!r}" if counts else "there is no good row"
        raise DataError(f"{file}: {only}; expected at least two classes")
    if len(kept) < 2:
        raise DataError(f"{file}: {_too_few(counts, kept, fewest)}")
    if len(kept) == len(counts):
        return rows, kept, []
    own = rows.classes(kept)
    first = {rows.labels[rows.codes[row]]: row for row in reversed(np.flatnonzero(own < 0).tolist())}
    faults = [
        f"{rows.where(row)}: the label {label!r} has {counts[label]} {'row' if counts[label] == 1 else 'rows'}, "
        f"expected at least {fewest}; is it a typing error?"
        for label, row in sorted(first.items(), key=lambda item: item[1])
    ]
    return rows.take(np.flatnonzero(own >= 0)), kept, faults


def _too_few(counts: Mapping[str, int], kept: Sequence[str], fewest: int) -> str:
    few = [label for label in counts if counts[label] < fewest]
    listed = ", ".join(f"{label!r} ({counts[label]})" for label in few[:SHOWN])
    rest = f" and {len(few) - SHOWN:,} more" if len(few) > SHOWN else ""
    return (
        f"{len(kept)} of {len(counts):,} labels have the {fewest} rows that training, validation and test need, "
        f"expected at least two; too few have {listed}{rest}. Is --label-column the right one?"
    )


def only_known(rows: Rows, classes: Sequence[str]) -> tuple[Rows, list[str]]:
    """The rows of validation or test whose label train has, and a line on every other."""
    own = rows.classes(classes)
    unknown = np.flatnonzero(own < 0)
    if not len(unknown):
        return rows, []
    faults = [
        f"{rows.where(row)}: the label {rows.labels[rows.codes[row]]!r} is not in train"
        for row in unknown.tolist()
    ]
    return rows.take(np.flatnonzero(own >= 0)), faults
