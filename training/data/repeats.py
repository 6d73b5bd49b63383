"""Texts that occur twice, within a split and across splits: no text may be trained on and scored."""

from collections.abc import Sequence

import numpy as np

from training.data.rows import Rows
from training.data.strings import Index


def first_of_each(rows: Rows, elsewhere: Sequence[tuple[str, Rows]] = ()) -> tuple[Rows, list[str]]:
    """The rows whose text is neither in the splits `elsewhere` nor earlier, and a line on every other one."""
    splits = [*elsewhere, ("", rows)]
    known: dict[str, tuple[Rows, int, str]] = {}
    repeated: list[int] = []
    faults: list[str] = []
    for (name, part), candidates in zip(splits, _candidates([part for _, part in splits]), strict=True):
        for row in candidates.tolist():
            text = part.texts[row]
            if name:
                known.setdefault(text, (part, row, name))
            elif text in known:
                repeated.append(row)
                faults.append(_line(rows, row, known[text]))
            else:
                known[text] = part, row, name
    return (rows.take(np.delete(np.arange(len(rows)), repeated)) if repeated else rows), faults


def _candidates(parts: Sequence[Rows]) -> list[Index]:
    """Of each part the rows whose text may be another row's, too: their hashes are the same."""
    hashes = np.concatenate([part.texts.hashes() for part in parts])
    ordered = np.argsort(hashes, kind="stable")
    same = hashes[ordered][1:] == hashes[ordered][:-1]
    doubtful = np.zeros(len(hashes), bool)
    doubtful[ordered[1:][same]] = doubtful[ordered[:-1][same]] = True
    bounds = np.cumsum([len(part) for part in parts])[:-1]
    return [np.flatnonzero(part) for part in np.split(doubtful, bounds)]


def _line(rows: Rows, row: int, first: tuple[Rows, int, str]) -> str:
    part, place, split = first
    where = f"{part.where(place)} of the {split} split" if split else part.where(place)
    label, before = rows.labels[rows.codes[row]], part.labels[part.codes[place]]
    other = "" if label == before else f", with the label {label!r} and not {before!r}"
    return f"{rows.where(row)}: the same text as {where}{other}"
