"""Times of events as numbers that sort: seconds since 1970 of dates, and plain numbers as they are.

Whether 3/4/2024 is in March or April only the whole file can tell; until its end both readings are kept.
"""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from training.data.event_faults import LISTED
from training.errors import DataError

Floats = npt.NDArray[np.float64]

EXPECTED = "a number or an ISO date"

_CLOCK = r"(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp])?\.?[Mm]?\.?)?"
_DAY_AND_MONTH = re.compile(rf"(\d{{1,2}})([./-])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_CLOCK}")
_YEAR_FIRST = re.compile(r"(\d{4})[./](\d{1,2})[./](\d{1,2})(.*)", re.DOTALL)
_NAMED_MONTHS = ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")


class Times:
    """The times of a file as its parts come: float64 [rows] by each reading, NaN where there is none."""

    def __init__(self) -> None:
        self._day_first: list[Floats] = []
        self._month_first: list[Floats] = []
        self._example = ""
        self._rows = 0
        self._unread: dict[int, str] = {}

    def add(self, column: Any) -> None:
        """Append the rows of a pyarrow array."""
        day_first, month_first = self._both(column)
        self._day_first.append(day_first)
        self._month_first.append(month_first)
        unread = np.flatnonzero(np.isnan(day_first) | np.isnan(month_first))
        for place in unread[: LISTED - len(self._unread)].tolist():
            self._unread[self._rows + place] = repr(column[place].as_py())
        self._rows += len(column)

    def text(self, row: int) -> str:
        """What stands in a row without a time, of those that are named; rows count over all parts, from 0."""
        return self._unread.get(row, "none")

    def seconds(self, file: str, column: str) -> Floats:
        """By the reading that fits more rows; `DataError` where both fit and differ. To be called once."""
        readings = self._day_first, self._month_first
        lost = [sum(int(np.isnan(part).sum()) for part in reading) for reading in readings]
        differ = any(
            not np.array_equal(one, other, equal_nan=True) for one, other in zip(*readings, strict=True)
        )
        if differ and lost[0] == lost[1]:
            raise DataError(
                f"{file}: {column} is {self._example!r}, and no row tells whether its day or its month comes first; "
                "write dates as 2024-12-31"
            )
        kept = readings[int(lost[1] < lost[0])]
        found = np.concatenate(kept) if kept else np.empty(0)
        self._day_first, self._month_first = [], []
        return found

    def _both(self, column: Any) -> tuple[Floats, Floats]:
        if kinds.is_dictionary(column.type):
            column = column.dictionary_decode()
        if kinds.is_string(column.type) or kinds.is_large_string(column.type):
            return self._texts(column)
        found = _numbers(column)
        return found, found

    def _texts(self, column: Any) -> tuple[Floats, Floats]:
        """All at once where they are numbers or ISO dates, else each different text."""
        texts = pc.utf8_trim_whitespace(column)
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, texts.type), texts)
        for kind in (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
            try:
                found = _numbers(texts.cast(kind))
            except pa.ArrowInvalid:
                continue
            return found, found
        encoded = texts.dictionary_encode(null_encoding="encode")
        places = encoded.indices.to_numpy(zero_copy_only=False)
        pairs = [self._read(text) for text in encoded.dictionary.to_pylist()]
        both = np.array(pairs, np.float64).reshape(-1, 2)[places]
        return both[:, 0], both[:, 1]

    def _read(self, text: str | None) -> tuple[float, float]:
        """One text by both readings."""
        found = _plain(text)
        if np.isnan(found) and text is not None and (match := _DAY_AND_MONTH.fullmatch(text)):
            first, mark, second, year, *clock = match.groups()
            one = _moment(year, second, first, clock)
            # With dots the day comes first, in every country that writes so.
            other = one if mark == "." else _moment(year, first, second, clock)
            if mark != "." and not self._example:
                self._example = text
            return one, other
        return found, found


def _numbers(column: Any) -> Floats:
    """A pyarrow array of numbers or times; NaN where it holds neither or nothing."""
    if kinds.is_temporal(column.type):
        if kinds.is_time(column.type):
            return np.full(len(column), np.nan)
        zone = column.type.tz if kinds.is_timestamp(column.type) else None
        column = pc.divide(column.cast(pa.timestamp("us", zone)).cast(pa.int64()).cast(pa.float64()), 1e6)
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return np.full(len(column), np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _plain(text: str | None) -> float:
    """A number, an ISO date, or one with a month's name; NaN where it is none of them."""
    if text is None:
        return np.nan
    try:
        number = float(text)
        return number if np.isfinite(number) else np.nan
    except ValueError:
        pass
    text = text.removesuffix("UTC").removesuffix("GMT").rstrip()
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day, rest = match.groups()
        text = f"{year}-{month:>02}-{day:>02}{rest}"
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        pass
    for form in _NAMED_MONTHS:
        try:
            return _utc(datetime.strptime(text, form).replace(tzinfo=UTC))
        except ValueError:
            continue
    return np.nan


def _moment(year: str, month: str, day: str, clock: list[str | None]) -> float:
    """Of numbers as they were written; NaN where there is no such date."""
    hour, minute, second = (int(part or 0) for part in clock[:3])
    if clock[3]:
        hour = hour % 12 + 12 * (clock[3] in "pP")
    century = 0 if len(year) == 4 else 2000
    try:
        return datetime(
            century + int(year), int(month), int(day), hour, minute, second, tzinfo=UTC
        ).timestamp()
    except ValueError:
        return np.nan


def _utc(time: datetime) -> float:
    """A time without a zone counts as UTC: the clocks of this machine must not reorder a file."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
