"""Files as people have them: each is read right, or a message says what to do."""

import bz2
import gzip
import logging
import lzma
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tests.training.data.test_tables import GOOD, write
from training.data.files import format_of, stem_of
from training.data.tables import Flags, read_table
from training.data.text_sets import load_texts
from training.errors import DataError

LINES = "text,label\n" + "".join(f"{text},{label}\n" for text, label in GOOD)
JSON = "".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in GOOD)


def rows(path: Path, flags: Flags | None = None) -> list[tuple[str, str]]:
    return [(row.text, row.label) for row in read_table(path, flags or Flags()).rows]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mail.CSV", LINES.encode()),
        ("mail.csv.gz", gzip.compress(LINES.encode())),
        ("Mail.CSV.GZ", gzip.compress(LINES.encode())),
        ("mail.csv.bz2", bz2.compress(LINES.encode())),
        ("mail.tsv.xz", lzma.compress(LINES.replace(",", "\t").encode())),
        ("mail.ndjson", JSON.encode()),
        ("mail.jsonl.gz", gzip.compress(JSON.encode())),
        ("bom.jsonl", JSON.encode("utf-8-sig")),
        ("bom.csv", LINES.encode("utf-8-sig")),
        ("utf16.csv", LINES.encode("utf-16")),
        ("utf16.jsonl", JSON.encode("utf-16")),
        ("semicolon.csv", LINES.replace(",", ";").encode()),
        ("bar.csv", LINES.replace(",", "|").encode()),
        ("tab.csv", LINES.replace(",", "\t").encode()),
        ("comma.tsv", LINES.encode()),
        ("windows.csv", LINES.replace("\n", "\r\n").encode()),
        ("mac.csv", LINES.replace("\n", "\r").encode()),
    ],
)
def test_a_table_is_read_whatever_its_name_encoding_and_separator(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert rows(tmp_path / name) == GOOD


def test_formats_are_known_by_the_ends_of_names() -> None:
    assert stem_of(Path("My.Mail.csv.GZ")) == "My.Mail"
    assert format_of(Path("mail.parquet.gz")) is None
    assert format_of(Path("mail.gz")) is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "cp.csv",
            "text,label\nfine,pos\ncafé,pos\n".encode("cp1252"),
            r"not UTF-8 \(byte 0xe9\) in line 3. In cp1252 .* 'café,pos': if that is right give --encoding cp1252",
        ),
        (
            "cp.jsonl",
            '{"text": "café", "label": "a"}\n'.encode("cp1252"),
            r"cp.jsonl: not UTF-8 \(byte 0xe9\) in line 1",
        ),
        (
            "wide.csv",
            LINES.encode("utf-16-le"),
            r"wide.csv: not UTF-8, it is full of zero bytes. Is it UTF-16\? Give --encoding utf-16-le",
        ),
        ("sheet.xlsx", b"PK", r"sheet.xlsx: expected a file .*; save the sheet as CSV in UTF-8"),
        (
            "cut.csv.gz",
            gzip.compress(LINES.encode())[:40],
            r"cut.csv.gz: cannot be read: Compressed file ended",
        ),
        ("no.csv.gz", LINES.encode(), r"no.csv.gz: cannot be read: Not a gzipped file"),
        ("empty.csv", b"", r"empty.csv: no column .* it has none, is the file empty\?"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / name)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_encoding_by_flag_rules(tmp_path: Path, encoding: str, suffix: str) -> None:
    path = write(tmp_path / f"mail{suffix}", [("café", "a"), ("thé", "b")])
    text = '{"text": "café", "label": "a"}\n' if suffix == ".jsonl" else "text,label\ncafé,a\n"
    path.write_bytes(text.encode(encoding))
    assert rows(path, Flags(encoding=encoding)) == [("café", "a")]


def test_a_separator_by_flag_rules(tmp_path: Path) -> None:
    (tmp_path / "mail.csv").write_text("text,a;label\nfine, good;pos\n")
    assert rows(tmp_path / "mail.csv", Flags("text,a", separator=";")) == [("fine, good", "pos")]


def test_a_bad_byte_far_behind_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_bytes(b"text,label\n" + b"a fine film,pos\n" * 100_000 + "café,pos\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"byte 0xe9\) in line 100002"):
        read_table(path)


NAMES = [
    ("review", "sentiment"),
    ("Sentence", "Class"),
    ("tweet_text", "category"),
    ("Content", "target"),
    ("text", "spam"),
    ("story", "label"),
]


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_columns_are_found_by_their_usual_names_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, str]
) -> None:
    caplog.set_level(logging.INFO)
    table = read_table(write(tmp_path / "mail.csv", GOOD, names))
    assert table.columns == names
    assert table.choices == {"text_column": names[0], "label_column": names[1]}
    assert f"{names[0]!r} is taken as --text-column and {names[1]!r} as --label-column" in caplog.text


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("title,body,label", "text may be 'title' or 'body'. Say which with --text-column"),
        ("text,class,topic", "label may be 'class' or 'topic'. Say which with --label-column"),
        (
            "one,two,three",
            "no column 'text' or 'label' or of another usual name; it has 'one', 'two', 'three'",
        ),
        ("text,text,label", "two columns are called 'text'"),
    ],
)
def test_columns_that_are_not_plain_are_asked_for(tmp_path: Path, header: str, said: str) -> None:
    (tmp_path / "mail.csv").write_text(f"{header}\na,b,c\n")
    with pytest.raises(DataError, match=said.replace(".", r"\.")):
        read_table(tmp_path / "mail.csv")


def test_a_flag_for_a_column_rules(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", GOOD, ("text", "label"))
    assert rows(path, Flags("label", "text"))[0] == ("pos", "good film number 0")
    with pytest.raises(DataError, match=r"no column 'bdoy'; it has 'text', 'label'\. Name yours with --text"):
        read_table(path, Flags("bdoy"))


def texts(path: Path, *, strict: bool = False) -> tuple[int, int, int]:
    found = load_texts(str(path), strict=strict)
    return len(found.train), len(found.validation), len(found.test)


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("validation", ["validation", "valid", "val", "dev"])
@pytest.mark.parametrize("test", ["test", "testing", "eval"])
def test_tables_of_splits_have_any_of_their_usual_names(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    write(tmp_path / f"{train}.csv", GOOD)
    write(tmp_path / f"{validation}.CSV", [("so good", "pos"), ("so bad", "neg")])
    write(tmp_path / f"{test}.jsonl", [("best", "pos")])
    assert texts(tmp_path) == (len(GOOD), 2, 1)


def test_pieces_of_a_split_in_the_folder_data_are_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for piece in range(2):
        write(tmp_path / "data" / f"train-0000{piece}-of-00002.parquet", GOOD[piece * 8 :][:8])
    write(tmp_path / "data" / "test-00000-of-00001-0a1b.parquet", [("best", "pos"), ("worst", "neg")])
    assert texts(tmp_path) == (len(GOOD), 0, 2)


def test_a_split_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD)
    write(tmp_path / "train.jsonl", GOOD)
    with pytest.raises(DataError, match=r"train.csv and train.jsonl: expected one of them"):
        load_texts(str(tmp_path), strict=False)


def test_a_test_table_without_labels_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "train.csv", GOOD)
    (tmp_path / "test.csv").write_text("id,text\n1,unknown\n")
    assert texts(tmp_path) == (13, 0, 3)
    assert "test.csv has no column 'label': it is left out" in caplog.text


def labelled(labels: Sequence[object]) -> list[tuple[object, object]]:
    return [(f"film number {number}", label) for number, label in enumerate(labels)]


SEVERAL: dict[str, tuple[str, list[object]]] = {
    "joined": ("mail.csv", ["action|drama", "action", "drama|comedy", "comedy"] * 5),
    "list in JSON": ("mail.jsonl", [["action", "drama"], ["action"]] * 5),
    "list in Parquet": ("mail.parquet", [["action", "drama"], ["action"]] * 5),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_labels_a_row_are_named_as_such_with_what_to_do(tmp_path: Path, kind: str) -> None:
    name, labels = SEVERAL[kind]
    path = write(tmp_path / name, labelled(labels))
    with pytest.raises(DataError, match=r"several labels.*One class a row is learned: keep one"):
        load_texts(str(path), strict=False)


@pytest.mark.parametrize("labels", [["a|b", "c|d"], ["New York, NY", "Boston, MA", "Albany, NY"]])
def test_a_separator_within_the_names_of_classes_is_no_fault(tmp_path: Path, labels: list[object]) -> None:
    path = write(tmp_path / "mail.csv", labelled(labels * 5))
    assert load_texts(str(path), strict=True).classes == tuple(sorted(map(str, labels)))


def test_measured_numbers_are_named_as_a_target_of_regression(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", labelled([number / 7 for number in range(60)]))
    with pytest.raises(
        DataError, match=r"label holds 60 different numbers from 0 to 8.42857, a target of reg"
    ):
        load_texts(str(path), strict=False)


def test_half_stars_are_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", labelled([number / 2 for number in range(11)] * 4))
    assert len(load_texts(str(path), strict=True).classes) == 11


def test_a_class_of_one_row_is_left_out_with_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", [*GOOD, ("so so", "pso")])
    found = load_texts(str(path), strict=False)
    assert found.classes == ("neg", "pos")
    assert "so so" not in [*found.train.texts, *found.test.texts]
    said = "mail.csv, row 18: the label 'pso' has 1 row, expected at least 3; is it a typing error?"
    assert found.skipped == (said,)
    with pytest.raises(DataError, match="'pso' has 1 row"):
        load_texts(str(path), strict=True)


@pytest.mark.parametrize("text", ["<br />", " <BR><br/>\t", "\u3000\u00a0", ""])
def test_a_text_of_blanks_and_line_breaks_is_an_empty_one(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "mail.jsonl", [*GOOD, (text, "pos")])
    assert load_texts(str(path), strict=False).skipped == ("mail.jsonl, row 17: text is empty",)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_labels_that_are_numbers_are_named_as_they_are_written(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"mail{suffix}", labelled([0, 1, 2] * 4))
    assert load_texts(str(path), strict=True).classes == ("0", "1", "2")


def test_names_of_classes_that_hugging_face_writes_into_parquet_are_taken(tmp_path: Path) -> None:
    table = pyarrow.table({"text": [f"note {n}" for n in range(8)], "label": [n % 2 for n in range(8)]})
    features = b'{"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}'
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({"huggingface": features}), tmp_path / "mail.parquet"
    )
    assert load_texts(str(tmp_path / "mail.parquet"), strict=True).classes == ("neg", "pos")


def test_a_parquet_column_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.parquet", [(1, "a"), (2, "b")])
    with pytest.raises(DataError, match=r"mail.parquet: text holds int64, expected texts"):
        read_table(path)


def test_half_a_character_in_json_is_a_fault_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "mail.jsonl"
    path.write_text('{"text": "\\ud83d", "label": "a"}\n{"text": "fine", "label": "a"}\n')
    assert read_table(path).faults == ["mail.jsonl, row 1: text holds half a character (a lone surrogate)"]


def test_files_are_looked_at_without_pytorch() -> None:
    """Its import takes seconds, and most mistakes are in files and their columns."""
    code = "import sys, training.data.text_sets, training.data.image_folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
