"""pyarrow's reader gives the cells of the csv module, and rows of another width keep the numbers right."""

import csv
import io
import random
from pathlib import Path

from training.data.chunks import Chunk, Chunks
from training.data.columns import Columns
from training.data.delimited import Dialect, find_separator, read_by_csv, read_delimited
from training.data.tables import read_table

COLUMNS, DIALECT = Columns("text", "label"), Dialect("utf-8-sig", ",")


def cells(chunks: Chunks) -> list[tuple[int, str, str] | tuple[int, str]]:
    found: list[tuple[int, str, str] | tuple[int, str]] = []
    for chunk in chunks:
        if isinstance(chunk, Chunk):
            numbers = chunk.numbers.tolist()
            found += zip(numbers, chunk.contents.to_pylist(), chunk.labels.to_pylist(), strict=True)
        else:
            found.append(chunk)
    return sorted(found, key=lambda row: row[0])


def test_both_readers_give_the_same_cells_numbers_and_faults(tmp_path: Path) -> None:
    draw = random.Random(0)
    path = tmp_path / "mail.csv"
    compared = 0
    for _ in range(600):
        body = "".join(draw.choice('ab",\n\r"é,\n') for _ in range(draw.randint(1, 30)))
        content = f"text,label\n{body}\n"
        path.write_bytes(content.encode())
        rows = [row for row in csv.reader(io.StringIO(content, newline="")) if row]
        if any("\n" in cell or "\r" in cell for row in rows for cell in row if len(row) != 2):
            continue  # an odd row over several lines: its fault counts them
        expected = [(number, *row) for number, row in enumerate(rows[1:], start=2) if len(row) == 2]
        for reader in (read_delimited, read_by_csv):
            found = cells(reader(path, COLUMNS, DIALECT, ("text", "label")))
            assert [row for row in found if len(row) == 3] == expected, content
            assert len(found) == len(rows) - 1
        compared += 1
    assert compared > 200


def test_rows_behind_odd_ones_keep_their_numbers_over_blocks(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    lines = [f"{'word ' * 30}{n},{'ab'[n % 2]}" if n % 1000 else "one,two,three" for n in range(20_000)]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    table = read_table(path)
    assert len(table.faults) == 20
    assert table.faults[3] == "mail.csv, row 3002: 1 more cells than the header has columns"
    assert len(table.rows) == 19_980
    assert all(row.where == f"mail.csv, row {int(row.text.split()[-1]) + 2}" for row in table.rows)


def test_a_row_without_its_last_cells_is_good_where_text_and_label_are_there(tmp_path: Path) -> None:
    (tmp_path / "mail.csv").write_text("text,label,note\nfine,pos\nbad\n")
    table = read_table(tmp_path / "mail.csv")
    assert [row.text for row in table.rows] == ["fine"]
    assert table.faults == ["mail.csv, row 3: 1 of 3 cells"]


def test_a_cell_longer_than_a_block_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text(f'text,label\n"{"word " * 400_000}",a\nshort,b\n')
    assert [len(row.text) for row in read_table(path).rows] == [2_000_000, 5]


def test_a_separator_is_the_one_by_which_rows_are_as_wide_as_the_header() -> None:
    assert find_separator('text,label\n"a;b",c\n') == ","
    assert find_separator("text;label\na, b;c\nd;e\n") == ";"
    assert find_separator("id;text, long;label\n1;a;b\n2;a, c;b\n") == ";"
    assert find_separator("text\tlabel\na\tb\n", "\t") == "\t"
    assert find_separator("") == ","
