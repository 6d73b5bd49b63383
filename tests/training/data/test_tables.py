"""Tables of text and label: every format reads alike, and each fault names its file and row."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from training.data.tables import Flags, Table, read_table
from training.errors import DataError

GOOD = [(f"good film number {n}", "pos") for n in range(8)] + [
    (f"bad film number {n}", "neg") for n in range(8)
]


def write(
    path: Path, rows: Iterable[tuple[object, object]], columns: tuple[str, str] = ("text", "label")
) -> Path:
    if path.suffix == ".parquet":
        texts, labels = zip(*rows, strict=True)
        pyarrow.parquet.write_table(pyarrow.table({columns[0]: texts, columns[1]: labels}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([columns, *rows])
    return path


def load(path: Path) -> Table:
    return read_table(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = [('He said, "no".\nTwice.', "a"), ("schön\tgut", "b")]
    path = write(tmp_path / f"mail{suffix}", rows, ("body", "kind"))
    table = read_table(path, Flags("body", "kind"))
    assert [(row.text, row.label) for row in table.rows] == rows
    first = 2 if suffix in (".csv", ".tsv") else 1
    assert [row.where for row in table.rows] == [f"mail{suffix}, row {first + n}" for n in range(2)]


def test_line_that_is_no_json_object_is_skipped_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.jsonl", GOOD)
    path.write_text(path.read_text() + '{"text": \n[1]\n{"text": 3, "label": "pos"}\n')
    found = load(path).faults
    assert found[0].startswith("mail.jsonl, row 17: no JSON")
    assert tuple(found[1:]) == (
        "mail.jsonl, row 18: [1], expected a JSON object",
        "mail.jsonl, row 19: text is 3, expected a text",
    )


def test_row_with_too_many_cells_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", GOOD)
    path.write_text(path.read_text() + "one,two,three\n")
    assert tuple(load(path).faults) == ("mail.csv, row 18: 1 more cells than the header has columns",)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_column_is_named_with_those_there_are(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"mail{suffix}", GOOD, ("ink", "paper"))
    with pytest.raises(
        DataError,
        match=r"no column 'text' or 'label' or of another usual name; it has 'ink', 'paper'. "
        "Name yours with --text-column and --label-column",
    ):
        load(path)


def test_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_bytes("text,label\ncafé,pos\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"mail.csv: not UTF-8 \(byte 0xe9\)"):
        load(path)


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mail.parquet").write_text("text,label")
    with pytest.raises(DataError, match=r"mail.parquet: no Parquet file"):
        load(tmp_path / "mail.parquet")


def test_a_quote_left_open_is_suspected_where_a_text_runs_over_lines(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text('text,label\n"ink,pos\npaper,neg\n')
    assert load(path).faults == [
        "mail.csv, row 2: 1 of 2 cells; one runs over 2 lines, is a quote left open?"
    ]


def test_a_cell_as_long_as_an_article_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", [("word " * 40_000, "pos")])
    assert len(load(path).rows[0].text) == 200_000
