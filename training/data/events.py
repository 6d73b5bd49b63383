"""Your own interactions: a table with a user, an item and, best, a time on each row, read in parts.

An unusable row is skipped and named by file and row; `strict` refuses the file instead. Formats are those of `files`.
"""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from training.data.event_columns import Columns, find_columns
from training.data.event_faults import SHOWN, Faults, always
from training.data.event_files import Part, read_parts
from training.data.event_order import (
    Codes,
    Events,
    Repeats,
    chosen,
    find_repeats,
    in_order,
    joined,
    make_event_log,
)
from training.data.event_times import EXPECTED, Times
from training.data.files import stem_of
from training.data.interactions import Catalogue, InteractionSet, Log
from training.data.tables import Flags, Source, open_table
from training.errors import DataError

log = logging.getLogger(__name__)

Repeated = Literal["auto", "keep", "drop"]
"""What is done with a row whose user has its item already, at another time."""

REPEATS_SHARE = 0.05
"""Of the rows, above which they are kept: ratings have next to none, orders a third and more."""

_WHOLE = re.compile(r"\d+\.0")

NOT_NAMED = Columns()


@dataclass(frozen=True)
class Reading:
    """How a file is read, as the flags say; an empty value is found out."""

    columns: Columns = NOT_NAMED
    repeated: Repeated = "auto"
    strict: bool = False
    encoding: str = ""
    separator: str = ""


AS_FOUND = Reading()


def read_events(path: Path, how: Reading = AS_FOUND) -> InteractionSet:
    """Read, check and number the file's users and items, in the order of their ids."""
    source = open_table(path, Flags(encoding=how.encoding, separator=how.separator))
    columns = find_columns(path.name, source.header.columns, how.columns)
    faults = Faults(path.name)
    events, names, titles = _read(source, columns, faults)
    repeats = find_repeats(events, len(names.items))
    keep = how.repeated == "keep" or (how.repeated == "auto" and repeats.later > REPEATS_SHARE * len(events))
    account = _account(path.name, how.repeated, repeats, len(events), keep=keep)
    if not keep:
        _note_repeats(events, names, repeats, faults)
    event_log, rows = make_event_log(events, repeats.same_basket if keep else repeats.again)
    del events, repeats
    _note_lonely(event_log, rows, names, faults)
    if how.strict:
        faults.refuse()
    if len(names.items) < 2 or len(names.users) < 2:
        found = f"{len(names.users)} users and {len(names.items)} items"
        raise DataError(
            "\n".join([f"{path.name}: found {found}, expected at least two of each", *faults.lines()[:SHOWN]])
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return InteractionSet(
        name=stem_of(path),
        log=event_log,
        catalogue=Catalogue(tuple(names.items), tuple(titles)),
        users=tuple(names.users),
        repeats=keep,
        licence="the user's own",
        url=None,
        digest=digest,
        skipped=tuple(faults.lines()),
        choices={**_choices(source, columns, how), "repeated": account},
    )


def _choices(source: Source, columns: Columns, how: Reading) -> dict[str, str]:
    """What was found out and not said by a flag, which the log tells too."""
    fields = ("user", "item", "time", "title")
    found = {
        f"{field}_column": getattr(columns, field)
        for field in fields
        if getattr(columns, field) and not getattr(how.columns, field)
    }
    if found:
        told = ", ".join(f"--{key.replace('_', '-')} {name!r}" for key, name in found.items())
        log.info("%s: by their names: %s", source.path.name, told)
    if not columns.time:
        log.info("%s: no column of times, so rows count as in order (--time-column)", source.path.name)
    if not how.separator and source.dialect.separator != source.format.separator:
        found["separator"] = source.dialect.separator
        log.info("%s: cells are separated by %r (--separator)", source.path.name, source.dialect.separator)
    return found


class _Names(NamedTuple):
    """External ids by number, sorted."""

    users: list[str]
    items: list[str]


class _Ids:
    """External ids by the order in which they come."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._parts: list[Codes] = []

    def add(self, column: Any) -> Codes:
        """Append a string array [rows] without nulls; its codes, int32 [rows]."""
        encoded = column.dictionary_encode()
        known = self._codes
        own = [known.setdefault(value, len(known)) for value in encoded.dictionary.to_pylist()]
        codes: Codes = np.array(own, np.int32)[encoded.indices.to_numpy()]
        self._parts.append(codes)
        return codes

    def numbered(self, good: npt.NDArray[np.bool_]) -> tuple[Codes, list[str], list[int]]:
        """Of the good rows: int32 [good rows], places in the sorted ids; the sorted ids; and the code of each.

        Ids that all were written as 17850.0 are 17850. To be called once: the codes are let go.
        """
        codes: Codes = chosen(joined(self._parts, np.int32), good)
        names = list(self._codes)
        if names and all(_WHOLE.fullmatch(name) for name in names):
            names = [name[:-2] for name in names]
        used = np.bincount(codes, minlength=len(names)) > 0
        order = sorted(np.flatnonzero(used).tolist(), key=names.__getitem__)
        place = np.empty(len(names), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return place[codes], [names[code] for code in order], order


def _read(source: Source, columns: Columns, faults: Faults) -> tuple[Events, _Names, list[str]]:
    """The usable rows, users and items by number, and the first title of each item."""
    users, items, times = _Ids(), _Ids(), Times()
    rows: list[Codes] = []
    titles: dict[int, str] = {}
    for part in read_parts(source, columns.named()):
        if not isinstance(part, Part):
            faults.add("unreadable", np.array([part.number]), always(part.fault))
            continue
        user, item = (_texts(part.columns[name]) for name in (columns.user, columns.item))
        good = _present(user, item, part.numbers, faults)
        users.add(user.filter(good))
        codes = items.add(item.filter(good))
        rows.append(part.numbers[good.to_numpy(zero_copy_only=False)].astype(np.int32))
        times.add(part.columns[columns.time].filter(good) if columns.time else pa.array(rows[-1]))
        if columns.title:
            _note_titles(titles, codes, _texts(part.columns[columns.title].filter(good)))
    row = joined(rows, np.int32)
    seconds = times.seconds(source.path.name, columns.time)
    timed = ~np.isnan(seconds)
    bad = np.flatnonzero(~timed)
    faults.add(
        "no time",
        row[bad],
        lambda place: f"{columns.time} is {times.text(int(bad[place]))}, expected {EXPECTED}",
    )
    remaining = [chosen(seconds, timed), chosen(row, timed)]
    del seconds, row
    item_codes, item_names, order = items.numbered(timed)
    user_codes, user_names, _ = users.numbered(timed)
    remaining = [user_codes, item_codes, *remaining]
    del user_codes, item_codes
    return in_order(remaining), _Names(user_names, item_names), [titles.get(code, "") for code in order]


def _texts(column: Any) -> Any:
    """A pyarrow array as texts without blanks at the ends, null where there are none."""
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _present(user: Any, item: Any, numbers: Any, faults: Faults) -> Any:
    """A boolean array [rows]: those with both; the others are faults."""
    for what, column in (("user", user), ("item", item)):
        missing = column.is_null().to_numpy(zero_copy_only=False)
        if what == "item":
            missing &= user.is_valid().to_numpy(zero_copy_only=False)
        faults.add(f"no {what}", numbers[missing], always(f"no {what}"))
    return pc.and_(user.is_valid(), item.is_valid())


def _note_titles(titles: dict[int, str], codes: Codes, column: Any) -> None:
    """Take the first title of each item that has none yet."""
    there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    for code, first in zip(*np.unique(codes[there], return_index=True), strict=True):
        if int(code) not in titles:
            titles[int(code)] = column[int(there[first])].as_py()


def _account(file: str, repeated: Repeated, repeats: Repeats, rows: int, *, keep: bool) -> str:
    """What was done with rows that repeat, for the record; where no flag said it, the log has it too."""
    count = f"{repeats.later:,} of {rows:,} rows take an item again that the user had before"
    if repeated == "auto" and repeats.later:
        done = (
            "kept, as in a shop, so that answers may hold items of the history (--repeated drop for ratings)"
            if keep
            else "left out, as of ratings (--repeated keep for a shop)"
        )
        log.info("%s: %s: %s", file, count, done)
    return f"{'keep' if keep else 'drop'}: {count}"


def _note_repeats(events: Events, names: _Names, repeats: Repeats, faults: Faults) -> None:
    """A fault for each row that is left out, since a test item must not stand in its own history."""
    order = np.argsort(events.row[repeats.again])
    again, first = repeats.again[order], repeats.first[order]
    faults.add(
        "the user has the item already",
        events.row[again],
        lambda place: (
            f"user {names.users[events.user[again[place]]]!r} has item {names.items[events.item[again[place]]]!r} "
            f"in row {events.row[first[place]]} already"
        ),
    )


def _note_lonely(event_log: Log, rows: Codes, names: _Names, faults: Faults) -> None:
    """Users with events at one time only: they count for popularity, and are neither validation nor test."""
    begins = np.flatnonzero(np.diff(event_log.user, prepend=-1))
    ends = np.append(begins[1:], len(event_log)) - 1
    alone = event_log.basket[begins] == event_log.basket[ends]
    row, user = rows[begins[alone]], event_log.user[begins[alone]]
    order = np.argsort(row)
    faults.add(
        "users with events at one time only",
        row[order],
        lambda place: (
            f"user {names.users[user[order[place]]]!r} has events at one time only; used in training alone"
        ),
    )
