"""Times of any usual writing sort alike."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from training.data.event_times import Times
from training.errors import DataError


def seconds(*columns: pa.Array) -> list[float]:
    times = Times()
    for column in columns:
        times.add(column)
    found: list[float] = times.seconds("sales.csv", "date").tolist()
    return found


NOON = datetime(2024, 2, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-01 12:00",
        "2024-02-01T12:00:00Z",
        "2024-02-01T14:00:00+02:00",
        "2024-02-01 12:00:00 UTC",
        "2024/2/1 12:00",
        "01.02.2024 12:00",
        "1.2.24 12:00",
        str(NOON),
        f" {NOON} ",
    ],
)
def test_numbers_and_dates_of_any_zone_are_seconds(text: str) -> None:
    assert seconds(pa.array([text])) == [NOON]
    assert seconds(pa.array([text, "1 Feb 2024"])) == [NOON, NOON - 12 * 3600], "and beside another writing"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime(2024, 2, 1, 12)]),  # noqa: DTZ001 - a time without a zone counts as UTC
        pa.array([datetime(2024, 2, 1, 12, tzinfo=UTC)]),
        pa.array([int(NOON)]),
        pa.array(["2024-02-01 12:00"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_any_type_are_seconds(column: pa.Array) -> None:
    assert seconds(column) == [NOON]


def test_a_day_without_a_clock_is_its_midnight() -> None:
    assert seconds(pa.array([date(2024, 2, 1)])) == [NOON - 12 * 3600]


def test_one_row_of_the_file_tells_whether_the_day_comes_first() -> None:
    unclear, day_first, month_first = (
        pa.array([text]) for text in ("2/1/2024 0:00", "31/1/2024", "1/31/2024")
    )
    second_of_january = datetime(2024, 1, 2, tzinfo=UTC).timestamp()
    assert seconds(unclear, day_first)[0] == second_of_january
    assert seconds(unclear, month_first)[0] == NOON - 12 * 3600
    with pytest.raises(
        DataError, match=r"date is '2/1/2024 0:00', and no row tells whether its day or its month"
    ):
        seconds(unclear, pa.array(["3/3/2024"]))


def test_hours_of_twelve_are_told_apart() -> None:
    morning, noon = seconds(pa.array(["2/13/2024 12:30 AM", "2/13/2024 12:30 PM"]))
    assert noon - morning == 12 * 3600


def test_what_is_no_time_is_nan_and_kept_as_it_was_written() -> None:
    times = Times()
    times.add(pa.array(["1", "2"]))
    times.add(pa.array(["soon", None, "nan", "31.02.2024", "3"]))
    found = times.seconds("sales.csv", "date")
    assert np.isnan(found).tolist() == [False, False, True, True, True, True, False]
    assert [times.text(row) for row in (2, 3)] == ["'soon'", "None"]
