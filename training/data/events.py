"""Your own interactions: a CSV, TSV or Parquet file with a user, an item and, best, a time on each row.

An unusable row is skipped and named by file and row (row 1 is the first after the header); `strict`
refuses the file instead.
"""

import csv as text_csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from training.data.interactions import Catalogue, InteractionSet, make_log
from training.errors import DataError

LISTED = 20
"""Users with events at one time only that are named one by one; the rest are counted."""

SUFFIXES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Columns:
    """The names of the columns; an empty `time` means that rows are in order, an empty `title` that there is none."""

    user: str
    item: str
    time: str = ""
    title: str = ""

    def named(self) -> list[str]:
        return [name for name in (self.user, self.item, self.time, self.title) if name]


@dataclass(frozen=True)
class Event:
    """One usable row of the file; `row` counts from 1."""

    row: int
    user: str
    item: str
    time: float


def read_events(path: Path, columns: Columns, *, repeats: bool, strict: bool) -> InteractionSet:
    """Read, check and number the file's users and items, in the order of their ids."""
    table, numbers, faults = _read(path, columns)
    events, titles = _events(path, table, numbers, columns, faults)
    if not repeats:
        events = _first_of_each(path, events, faults)
    faults += _lonely(path, events)
    if strict and faults:
        raise DataError(f"{path}: {len(faults)} faults:\n" + "\n".join(faults))
    users, items = sorted({e.user for e in events}), sorted({e.item for e in events})
    if len(items) < 2 or len(users) < 2:
        found = f"{len(users)} users and {len(items)} items"
        raise DataError("\n".join([f"{path}: found {found}, expected at least two of each", *faults]))
    user_of = {user: number for number, user in enumerate(users)}
    item_of = {item: index for index, item in enumerate(items, start=1)}
    log = make_log(
        [user_of[e.user] for e in events], [item_of[e.item] for e in events], [e.time for e in events]
    )
    return InteractionSet(
        name=path.stem,
        log=log,
        catalogue=Catalogue(tuple(items), tuple(titles.get(item, "") for item in items)),
        users=tuple(users),
        repeats=repeats,
        licence="the user's own",
        url=None,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        skipped=tuple(faults),
    )


def _read(path: Path, columns: Columns) -> tuple[pa.Table, list[int], list[str]]:
    """The configured columns, as text where the file is text; the row numbers; a fault for each malformed row."""
    malformed: dict[int, str] = {}

    def skip(row: Any) -> str:
        number = row.number - 1  # pyarrow counts the header
        malformed[number] = f"{row.actual_columns} fields, expected {row.expected_columns}"
        return "skip"

    try:
        if path.suffix == ".parquet":
            names = _present(path, parquet.read_schema(path).names, columns)
            table = parquet.read_table(path, columns=names)
            return table, list(range(1, table.num_rows + 1)), []
        # One thread: only then does the reader know the numbers of the rows that it skips.
        types = dict.fromkeys(_present(path, _header(path), columns), pa.string())
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=_parsing(path, skip),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix[1:].upper()}: {error}") from error
    everything = range(1, table.num_rows + len(malformed) + 1)
    numbers = [number for number in everything if number not in malformed]
    return table, numbers, [f"{path}: row {number}: {fault}" for number, fault in malformed.items()]


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return next(text_csv.reader(stream, delimiter=_delimiter(path)), [])


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","


def _parsing(path: Path, skip: Any = None) -> csv.ParseOptions:
    return csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True, invalid_row_handler=skip)


def _present(path: Path, header: list[str], columns: Columns) -> list[str]:
    if missing := [name for name in columns.named() if name not in header]:
        flags = "--user-column, --item-column, --time-column and --title-column name them"
        there = ", ".join(header) or "none, is the file empty?"
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {there} ({flags})")
    return columns.named()


def _events(
    path: Path, table: pa.Table, numbers: list[int], columns: Columns, faults: list[str]
) -> tuple[list[Event], dict[str, str]]:
    """The usable rows, and the first title of each item."""
    users, items = (_texts(table, name) for name in (columns.user, columns.item))
    times = table[columns.time].to_pylist() if columns.time else numbers
    names = _texts(table, columns.title) if columns.title else [""] * len(numbers)
    events: list[Event] = []
    titles: dict[str, str] = {}
    for row, user, item, time, title in zip(numbers, users, items, times, names, strict=True):
        moment = _seconds(time)
        if not user or not item:
            faults.append(f"{path}: row {row}: no {'user' if not user else 'item'}")
        elif moment is None:
            faults.append(f"{path}: row {row}: {columns.time} is {time!r}, expected a number or an ISO date")
        else:
            events.append(Event(row, user, item, moment))
            if title:
                titles.setdefault(item, title)
    return events, titles


def _texts(table: pa.Table, column: str) -> list[str]:
    """Values as text without blanks at the ends; an id that was read as 17850.0 is 17850."""
    values = table[column].to_pylist()
    return ["" if v is None else _whole(v) if isinstance(v, float) else str(v).strip() for v in values]


def _whole(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)


def _seconds(time: Any) -> float | None:
    """A point in time as a number that sorts; None for any other value."""
    if isinstance(time, datetime):
        return _utc(time)
    try:
        return float(time)
    except (TypeError, ValueError):
        pass
    try:
        return _utc(datetime.fromisoformat(str(time).strip()))
    except ValueError:
        return None


def _utc(time: datetime) -> float:
    """A time without a zone counts as UTC: the clocks of this machine must not reorder a file."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _first_of_each(path: Path, events: list[Event], faults: list[str]) -> list[Event]:
    """Without repeats: the earliest event of each user and item, so that no test item stands in its own history."""
    kept: dict[tuple[str, str], Event] = {}
    for event in sorted(events, key=lambda event: event.time):
        first = kept.setdefault((event.user, event.item), event)
        if first is not event:
            same = f"user {event.user!r} has item {event.item!r} in row {first.row} already"
            faults.append(f"{path}: row {event.row}: {same}")
    return sorted(kept.values(), key=lambda event: event.row)


def _lonely(path: Path, events: list[Event]) -> list[str]:
    """Users with events at one time only: they count for popularity, and are neither validation nor test."""
    moments = Counter(user for user, _ in {(event.user, event.time) for event in events})
    first = {event.user: event.row for event in reversed(events)}
    lonely = sorted((user for user, count in moments.items() if count == 1), key=lambda user: first[user])
    lines = [
        f"{path}: row {first[user]}: user {user!r} has events at one time only; used in training alone"
        for user in lonely[:LISTED]
    ]
    return [*lines, f"{path}: {len(lonely) - LISTED:,} more such users"] if len(lonely) > LISTED else lines
