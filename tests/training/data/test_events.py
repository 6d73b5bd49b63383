"""A user's own interactions: every format reads alike, and each fault names its row."""

import gzip
import json
import logging
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from training.data.event_columns import Columns
from training.data.events import Reading, read_events
from training.data.interactions import InteractionSet
from training.errors import DataError

GOOD = """user,item,time,title
ann,p1,2024-01-01,Pen
ann,p2,2024-01-02,Ink
ann,p3,2024-01-03,Cup
bob,p2,2024-01-01,Ink
bob,p1,2024-01-05,Pen
bob,p3,2024-01-09,Cup
"""
STRICT = Reading(strict=True)


def write(folder: Path, text: str, name: str = "sales.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def as_json(text: str) -> str:
    header, *rows = (line.split(",") for line in text.splitlines())
    return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)


def as_parquet(path: Path) -> None:
    header, *rows = (line.split(",") for line in GOOD.splitlines())
    parquet.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(header)}), path)


FILES = {
    "sales.csv": GOOD.encode(),
    "SALES.CSV": GOOD.encode(),
    "mark.csv": b"\xef\xbb\xbf" + GOOD.encode(),
    "semicolons.csv": GOOD.replace(",", ";").encode(),
    "wide.csv": GOOD.encode("utf-16"),
    "sales.csv.gz": gzip.compress(GOOD.encode()),
    "sales.tsv": GOOD.replace(",", "\t").encode(),
    "sales.jsonl": as_json(GOOD).encode(),
    "sales.ndjson": as_json(GOOD).encode(),
    "mark.jsonl": b"\xef\xbb\xbf" + as_json(GOOD).encode(),
    "windows.csv": GOOD.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("name", [*FILES, "sales.parquet", "SALES.PARQUET"])
def test_every_format_says_the_same_in_the_order_of_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in FILES:
        path.write_bytes(FILES[name])
    else:
        as_parquet(path)
    found = read_events(path, STRICT)
    assert found.catalogue.ids == ("p1", "p2", "p3")
    assert found.catalogue.titles == ("Pen", "Ink", "Cup")
    assert found.users == ("ann", "bob")
    assert found.log.item.tolist() == [1, 2, 3, 2, 1, 3]
    assert found.skipped == ()


def test_another_encoding_is_a_question_and_not_a_traceback(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("Cup", "Gläser"), encoding="cp1252")
    with pytest.raises(
        DataError, match=r"not UTF-8 \(byte 0xe4\) in line 4\. In cp1252 that line reads .*Gläser"
    ):
        read_events(path)
    found = read_events(path, Reading(encoding="cp1252", strict=True))
    assert found.catalogue.titles == ("Pen", "Ink", "Gläser")


FAULTS = [
    ("ann,,2024-01-04,Pad\n", "row 8: no item"),
    (",p1,2024-01-04,Pen\n", "row 8: no user"),
    ("ann,p4,soon,Pad\n", "row 8: time is 'soon', expected a number or an ISO date"),
    ("ann,p4,,Pad\n", "row 8: time is '', expected a number or an ISO date"),
    ("ann,p4,inf,Pad\n", "row 8: time is 'inf', expected a number or an ISO date"),
    ("ann,p1,2024-02-01,Pen\n", "row 8: user 'ann' has item 'p1' in row 2 already"),
    ("eve,p1,2024-02-01,Pen\n", "row 8: user 'eve' has events at one time only; used in training alone"),
    ("ann,p1\nann,,2024-01-04,Pad\n", "row 9: no item"),
    ("ann,p1\n", "row 8: 2 fields, expected 4"),
    ('ann,"p1\nbob,p2\n', "row 8: 2 fields, expected 4; it runs over 2 lines, is a quote left open?"),
]


@pytest.mark.parametrize(("line", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_a_bad_row_is_skipped_and_named_and_refused_when_strict(
    tmp_path: Path, line: str, words: str
) -> None:
    path = write(tmp_path, GOOD + line)
    assert f"sales.csv, {words}" in read_events(path, Reading(repeated="drop")).skipped
    with pytest.raises(DataError) as refused:
        read_events(path, Reading(repeated="drop", strict=True))
    assert f"sales.csv, {words}" in str(refused.value)


def test_the_kind_of_fault_that_most_rows_have_is_told_first_and_in_few_lines(tmp_path: Path) -> None:
    rows = "".join(f"u{n},i{n % 5},2024-01-01,x\n" for n in range(30))
    path = write(tmp_path, f"{GOOD}ann,,2024-01-04,Pad\n{rows}")
    lonely, no_item = read_events(path).skipped[:2]
    assert "user 'u0' has events at one time only" in lonely
    assert lonely.endswith("(users with events at one time only: 30 rows)")
    assert no_item == "sales.csv, row 8: no item"
    with pytest.raises(DataError) as refused:
        read_events(path, STRICT)
    assert len(str(refused.value).splitlines()) == 12, "how many, ten lines, and how many more"


SHOP = "user,item\n" + "".join(f"u{n % 3},i{n % 4}\n" for n in range(24))


def read_repeating(tmp_path: Path, how: Reading) -> InteractionSet:
    return read_events(write(tmp_path, SHOP), how)


def test_rows_that_repeat_are_kept_where_they_are_many_and_both_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = read_repeating(tmp_path, Reading())
    assert found.repeats
    assert len(found.log) == 24
    assert "12 of 24 rows take an item again that the user had before: kept" in caplog.text
    assert "--repeated drop" in caplog.text
    assert found.choices["repeated"].startswith("keep: 12 of 24 rows")


def test_rows_that_repeat_are_dropped_where_they_are_few_or_a_flag_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dropped = read_repeating(tmp_path, Reading(repeated="drop"))
    assert (dropped.repeats, len(dropped.log)) == (False, 12)
    ratings = "user,item\n" + "".join(f"u{u},i{i}\n" for u in range(3) for i in range(20)) + "u0,i3\n"
    with caplog.at_level(logging.INFO):
        few = read_events(write(tmp_path, ratings))
    assert (few.repeats, len(few.log)) == (False, 60)
    assert "1 of 61 rows take an item again that the user had before: left out" in caplog.text
    assert "--repeated keep" in caplog.text


def test_a_row_that_stands_there_twice_is_no_repeat(tmp_path: Path) -> None:
    rows = GOOD.splitlines(keepends=True)
    found = read_events(write(tmp_path, "".join([*rows, *rows[1:]])))
    assert (found.repeats, len(found.log)) == (False, 6)


def test_a_file_with_one_item_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item\na,x\nb,x\n")
    with pytest.raises(DataError, match="found 2 users and 1 items, expected at least two of each"):
        read_events(path)


def test_an_id_that_was_written_as_a_float_is_the_whole_number(tmp_path: Path) -> None:
    table = pa.table({"user": [17850.0, 17850.0, 1.0, 1.0], "item": ["a", "b", "a", "b"]})
    parquet.write_table(table, tmp_path / "sales.parquet")
    assert read_events(tmp_path / "sales.parquet", STRICT).users == ("1", "17850")
    csv = write(tmp_path, "user,item\n17850.0,a\n17850.0,b\n1.0,a\n1.0,b\n")
    assert read_events(csv, STRICT).users == ("1", "17850")
    assert read_events(write(tmp_path, "user,item\n1.0,a\n1.0,b\n1.5,a\n1.5,b\n"), STRICT).users == (
        "1.0",
        "1.5",
    )


def test_an_id_of_skipped_rows_alone_is_no_user(tmp_path: Path) -> None:
    found = read_events(write(tmp_path, GOOD + "eve,p9,soon,Pad\n"))
    assert (found.users, found.catalogue.ids) == (("ann", "bob"), ("p1", "p2", "p3"))


def test_a_file_of_many_parts_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.event_files.BLOCK_BYTES", 64)
    monkeypatch.setattr("training.data.event_files.PART_ROWS", 2)
    as_parquet(tmp_path / "sales.parquet")
    for path in (write(tmp_path, GOOD + "ann\n" + "bob,,2,\n"), tmp_path / "sales.parquet"):
        found = read_events(path)
        assert found.log.item.tolist() == [1, 2, 3, 2, 1, 3]
        assert found.catalogue.titles == ("Pen", "Ink", "Cup")
    assert set(read_events(tmp_path / "sales.csv").skipped) == {
        "sales.csv, row 8: 1 fields, expected 4",
        "sales.csv, row 9: no item",
    }


def test_the_columns_that_were_found_are_said_and_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = GOOD.replace("user,item,time,title", "Customer ID,sku,order_date,Product Name")
    with caplog.at_level(logging.INFO):
        found = read_events(write(tmp_path, text), STRICT)
    assert "--user-column 'Customer ID', --item-column 'sku', --time-column 'order_date'" in caplog.text
    assert found.choices["title_column"] == "Product Name"
    named = read_events(
        write(tmp_path, text), Reading(Columns("Customer ID", "sku", "order_date", "Product Name"))
    )
    assert named.choices.keys() == {"repeated"}
