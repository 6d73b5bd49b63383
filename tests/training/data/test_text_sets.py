"""Text sets: no text is on both sides of a split, and a set without classes to learn is refused."""

from pathlib import Path

import pytest

from tests.training.data.test_tables import GOOD, write
from training.data.text_sets import TextSet, load_texts
from training.errors import DataError


def load(path: Path, *, strict: bool = False) -> TextSet:
    return load_texts(str(path), "text", "label", strict=strict)


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
            [("a", "x"), ("b", "y"), *((f"{n}", "z") for n in range(4))],
            "expected at least two; too few have 'x' (1), 'y' (1). Is --label-column the right one?",
        ),
        (
            "mail.txt",
            [("a", "x")],
            "mail.txt: expected a file that ends in .csv, .tsv, .jsonl, .ndjson, .parquet",
        ),
    ],
)
def test_unusable_table_is_refused(
    tmp_path: Path, name: str, rows: list[tuple[object, object]], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        load(write(tmp_path / name, rows))
    assert message in str(caught.value)


def test_path_that_is_nowhere_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(DataError, match=r"neither a file, nor a folder, nor a named set .*imdb"):
        load_texts("imbd", "text", "label", strict=False)


def test_set_of_another_task_is_refused() -> None:
    with pytest.raises(DataError, match="'digits' is for vision, not for text"):
        load_texts("digits", "text", "label", strict=False)


def test_repeated_text_stays_once_so_that_no_split_knows_another(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", [*GOOD, ("good film number 0", "pos"), ("bad film number 1", "pos")])
    texts = load(path)
    whole = [*texts.train.texts, *texts.test.texts]
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


def test_label_of_test_that_train_lacks_is_left_out_and_stops_a_strict_run(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD)
    write(tmp_path / "test.jsonl", [("fine", "neutral"), ("well", "pos")])
    assert load(tmp_path).skipped == ("test.jsonl, row 1: the label 'neutral' is not in train",)
    assert list(load(tmp_path).test.texts) == ["well"]
    with pytest.raises(DataError, match="'neutral' is not in train"):
        load(tmp_path, strict=True)


def test_folder_without_a_test_split_has_one_held_out_of_train(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD)
    write(tmp_path / "val.csv", [("so good", "pos"), ("so bad", "neg")])
    texts = load(tmp_path)
    assert (len(texts.train), len(texts.validation), len(texts.test)) == (13, 2, 3)
    assert {row.label for row in texts.test} == {"pos", "neg"}


def test_test_split_of_one_table_is_stratified_and_always_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.csv", GOOD)
    first, second = load(path), load(path)
    assert list(first.test) == list(second.test)
    assert sorted({row.label for row in first.test}) == ["neg", "pos"]


def test_the_embedded_set_has_the_digest_that_manifests_name() -> None:
    found = load_texts("tickets", "text", "label", strict=True)
    assert found.digest == "714d427631d435d6264989568735c15e52523c75c60c1054569f8a0aa582e6d8"
