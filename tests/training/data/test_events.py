"""A user's own interactions: every format reads alike, and each fault names its row."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from training.data.events import Columns, read_events
from training.errors import DataError

COLUMNS = Columns("user", "item", "time", "title")


GOOD = """user,item,time,title
ann,p1,2024-01-01,Pen
ann,p2,2024-01-02,Ink
ann,p3,2024-01-03,Cup
bob,p2,2024-01-01,Ink
bob,p1,2024-01-05,Pen
bob,p3,2024-01-09,Cup
"""


def write(folder: Path, text: str, name: str = "sales.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    found = read_events(write(tmp_path, GOOD), COLUMNS, repeats=False, strict=True)
    assert found.catalogue.ids == ("p1", "p2", "p3")
    assert found.catalogue.titles == ("Pen", "Ink", "Cup")
    assert found.log.item.tolist() == [1, 2, 3, 2, 1, 3]
    assert found.skipped == ()


def test_parquet_and_tsv_say_the_same_as_csv(tmp_path: Path) -> None:
    expected = read_events(write(tmp_path, GOOD), COLUMNS, repeats=False, strict=True).log.item.tolist()
    tabs = write(tmp_path, GOOD.replace(",", "\t"), "sales.tsv")
    rows = [line.split(",") for line in GOOD.splitlines()]
    table = pa.table({name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])})
    parquet.write_table(table, tmp_path / "sales.parquet")
    for path in (tabs, tmp_path / "sales.parquet"):
        assert read_events(path, COLUMNS, repeats=False, strict=True).log.item.tolist() == expected


FAULTS = [
    ("ann,,2024-01-04,Pad\n", "row 7: no item"),
    (",p1,2024-01-04,Pen\n", "row 7: no user"),
    ("ann,p4,soon,Pad\n", "row 7: time is 'soon', expected a number or an ISO date"),
    ("ann,p1,2024-02-01,Pen\n", "row 7: user 'ann' has item 'p1' in row 1 already"),
    ("eve,p1,2024-02-01,Pen\n", "row 7: user 'eve' has events at one time only; used in training alone"),
    ("ann,p1\nann,,2024-01-04,Pad\n", "row 8: no item"),
    ("ann,p1\n", "row 7: 2 fields, expected 4"),
]


@pytest.mark.parametrize(("line", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_a_bad_row_is_skipped_and_named_and_refused_when_strict(
    tmp_path: Path, line: str, words: str
) -> None:
    path = write(tmp_path, GOOD + line)
    found = read_events(path, COLUMNS, repeats=False, strict=False)
    assert f"{path}: {words}" in found.skipped
    with pytest.raises(DataError) as refused:
        read_events(path, COLUMNS, repeats=False, strict=True)
    assert f"{path}: {words}" in str(refused.value)


def test_many_users_with_one_event_are_named_up_to_a_limit_and_counted(tmp_path: Path) -> None:
    text = "user,item\n" + "".join(f"u{n:02d},i{n % 5}\n" for n in range(30))
    found = read_events(write(tmp_path, text), Columns("user", "item"), repeats=False, strict=False)
    assert len(found.skipped) == 21
    assert found.skipped[-1].endswith("sales.csv: 10 more such users")


def test_a_missing_column_is_named_with_those_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column when; it has user, item, time, title \(--user-column"):
        read_events(write(tmp_path, GOOD), Columns("user", "item", "when"), repeats=False, strict=False)


def test_a_file_with_one_item_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item\na,x\nb,x\n")
    with pytest.raises(DataError, match="found 2 users and 1 items, expected at least two of each"):
        read_events(path, Columns("user", "item"), repeats=False, strict=False)


@pytest.mark.parametrize(
    "first", ["0", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T02:00:00+02:00"], ids=str
)
def test_times_sort_alike_as_numbers_and_dates_of_any_zone(tmp_path: Path, first: str) -> None:
    text = f"user,item,time\na,late,1\na,early,{first}\nb,late,3\nb,early,2\n"
    log = read_events(write(tmp_path, text), Columns("user", "item", "time"), repeats=False, strict=True).log
    assert log.item.tolist() == [1, 2, 1, 2]


def test_an_id_that_was_read_as_a_float_is_the_whole_number(tmp_path: Path) -> None:
    table = pa.table({"user": [17850.0, 17850.0, 1.0, 1.0], "item": ["a", "b", "a", "b"]})
    parquet.write_table(table, tmp_path / "sales.parquet")
    found = read_events(tmp_path / "sales.parquet", Columns("user", "item"), repeats=False, strict=True)
    assert found.users == ("1", "17850")
