"""Tables of text and label: every fault names its file and row, no text is on both sides of a split."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import torch
from torch import nn

from training.data.examples import Loader
from training.data.tables import read_table
from training.data.text import Texts
from training.data.text_sets import TextSet, load_texts, news_tokens
from training.data.tickets import CLASSES, compose
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


def load(path: Path, *, strict: bool = False) -> TextSet:
    return load_texts(str(path), "text", "label", strict=strict)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = [('He said, "no".\nTwice.', "a"), ("schön\tgut", "b")]
    path = write(tmp_path / f"mail{suffix}", rows, ("body", "kind"))
    table = read_table(path, "body", "kind")
    assert [(row.text, row.label) for row in table.rows] == rows
    first = 2 if suffix in (".csv", ".tsv") else 1
    assert [row.where for row in table.rows] == [f"mail{suffix}, row {first + n}" for n in range(2)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_empty_text_and_empty_label_are_skipped_with_their_rows(tmp_path: Path, suffix: str) -> None:
    rows = [*GOOD, ("  ", "pos"), ("a film", None)]
    path = write(tmp_path / f"mail{suffix}", rows)
    last = len(rows) + (suffix == ".csv")
    assert load(path).skipped == (
        f"mail{suffix}, row {last - 1}: text is empty",
        f"mail{suffix}, row {last}: label is empty",
    )


def test_strict_run_stops_at_the_same_faults_and_lists_all(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", [*GOOD, ("", "pos"), ("good film number 3", "pos")])
    with pytest.raises(
        DataError, match=r"2 faults:\nmail.csv, row 18: text is empty\nmail.csv, row 19: the same"
    ):
        load(path, strict=True)


def test_line_that_is_no_json_object_is_skipped_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.jsonl", GOOD)
    path.write_text(path.read_text() + '{"text": \n[1]\n{"text": 3, "label": "pos"}\n')
    found = load(path).skipped
    assert found[0].startswith("mail.jsonl, row 17: no JSON")
    assert found[1:] == (
        "mail.jsonl, row 18: [1], expected a JSON object",
        "mail.jsonl, row 19: text is 3, expected a text",
    )


def test_row_with_too_many_cells_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", GOOD)
    path.write_text(path.read_text() + "one,two,three\n")
    assert load(path).skipped == ("mail.csv, row 18: 1 more cells than the header has columns",)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "one.csv",
            [("a", "x"), ("b", "x")],
            "one.csv: every row has the label 'x'; expected at least two classes",
        ),
        ("none.csv", [("", "x")], "none.csv: there is no good row"),
        (
            "rare.csv",
            [*GOOD, ("so so", "pso")],
            "rare.csv, row 18: the label 'pso' has 1 rows, expected at least 3",
        ),
        ("mail.txt", [("a", "x")], "mail.txt: expected a file that ends in .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_unusable_table_is_refused(
    tmp_path: Path, name: str, rows: list[tuple[object, object]], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        load(write(tmp_path / name, rows))
    assert message in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_column_is_named_with_those_there_are(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"mail{suffix}", GOOD, ("body", "label"))
    with pytest.raises(
        DataError, match=r"no column 'text'; it has 'body', 'label'. Name yours with --text-column"
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


def test_path_that_is_nowhere_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(DataError, match=r"neither a file, nor a folder, nor a named set .*imdb"):
        load_texts("imbd", "text", "label", strict=False)


def test_set_of_another_task_is_refused() -> None:
    with pytest.raises(DataError, match="'digits' is for vision, not for text"):
        load_texts("digits", "text", "label", strict=False)


def test_repeated_text_stays_once_so_that_no_split_knows_another(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", [*GOOD, ("good film number 0", "pos"), ("bad film number 1", "pos")])
    texts = load(path)
    whole = [row.text for row in texts.train + texts.test]
    assert sorted(whole) == sorted(text for text, _ in GOOD)
    assert texts.skipped == (
        "mail.csv, row 18: the same text as mail.csv, row 2",
        "mail.csv, row 19: the same text as mail.csv, row 11, with the label 'pos' and not 'neg'",
    )


def test_training_row_that_is_in_test_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [*GOOD, ("a leak", "pos")])
    write(tmp_path / "test.csv", [("a leak", "pos"), ("new", "neg")])
    texts = load(tmp_path)
    assert len(texts.train) == len(GOOD)
    assert texts.skipped == ("train.csv, row 18: the same text as test.csv, row 2 of the test split",)


def test_label_of_test_that_train_lacks_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD)
    write(tmp_path / "test.jsonl", [("fine", "neutral")])
    with pytest.raises(DataError, match=r"test.jsonl, row 1: the label 'neutral' is not in train"):
        load(tmp_path)


def test_folder_without_a_test_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD)
    with pytest.raises(DataError, match=r"expected test.csv"):
        load(tmp_path)


def test_test_split_of_one_table_is_stratified_and_always_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", GOOD)
    first, second = load(path), load(path)
    assert first.test == second.test
    assert sorted({row.label for row in first.test}) == ["neg", "pos"]


def test_tickets_are_balanced_and_always_the_same() -> None:
    train, test = compose()
    assert (len(train), len(test)) == (3200, 800)
    assert compose()[1] == test
    assert {label for _, label in train} == set(CLASSES)
    texts = [text for text, _ in train + test]
    assert len(set(texts)) == 4000
    assert not any("{" in text for text in texts)


def test_news_are_made_into_tokens_as_their_training_file_was() -> None:
    raw = 'Fears for T N pension after talks: "It\'s over", (Reuters) says; really?'
    expected = "fears for t n pension after talks it ' s over , ( reuters ) says really ?"
    assert news_tokens(raw) == expected
    assert news_tokens(expected) == expected


def sample_texts(rows: int = 500) -> Texts:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 60, (rows,), generator=generator).tolist()
    return Texts.of([str(n) for n in lengths], [[2] * n for n in lengths], [n % 2 for n in range(rows)])


def test_batch_holds_each_text_whole_and_zeros_after_it() -> None:
    texts = Texts.of(["x", "y z", "w"], [[5], [6, 7], [8]], [0, 1, 1])
    batch = texts.batch(torch.tensor([1, 2]), torch.Generator())
    assert batch["ids"].tolist() == [[6, 7], [8, 0]]
    assert batch["ids"].dtype == torch.int64
    assert batch["label"].tolist() == [1, 1]


def test_epoch_shows_every_text_once_in_batches_of_like_length() -> None:
    texts = sample_texts()
    order = texts.order(torch.Generator().manual_seed(0), 16)
    assert sorted(order.tolist()) == list(range(500))
    batches = [batch["ids"] for batch in Loader(texts, 16, seed=0, training=True)]
    shuffled = [texts.batch(rows, torch.Generator())["ids"] for rows in torch.split(torch.arange(496), 16)]
    cost, before = (sum(batch.numel() for batch in found) for found in (batches, shuffled))
    assert cost < 0.65 * before


def test_epochs_differ_and_are_functions_of_their_seed() -> None:
    texts = sample_texts()
    first, again, other = (texts.order(torch.Generator().manual_seed(n), 16) for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_two_processes_see_what_one_with_the_doubled_batch_would() -> None:
    texts = sample_texts()
    whole = Loader(texts, 32, seed=0, training=True)
    halves = [Loader(texts, 16, seed=0, training=True, rank=rank, world=2) for rank in range(2)]
    for batch, *parts in zip(whole, *halves, strict=True):
        seen = torch.cat([nn.functional.pad(part["ids"], (0, 60 - part["ids"].shape[1])) for part in parts])
        assert torch.equal(seen, nn.functional.pad(batch["ids"], (0, 60 - batch["ids"].shape[1])))
