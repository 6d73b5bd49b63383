"""The whole line on the embedded tickets: from sentences to a bundle that answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from inference.predictor import Predictor
from inference.values import Payload
from tests.training.fixed import FIXED
from training.config import TrainConfig, load_config
from training.data.faults import SHOWN
from training.data.text import Texts
from training.data.tokenizer import UNKNOWN_ID
from training.evaluate.robustness import of_texts
from training.fit.train import load_data
from training.pipeline import train
from training.run import RunFiles
from training.tasks.registry import find_task
from training.tasks.text import hide_words, length_buckets

pytestmark = pytest.mark.slow

FLAGS = ("--data", "tickets", "--arch", "textcnn", "--name", "tickets", "--epochs", "3", "--batch-size", "64")
MODEL = (
    *(
        "--model",
        '{"width": 24, "filters": 16, "bag": 0}',
        "--learning-rate",
        "0.01",
        "--word-dropout",
        "0.1",
    ),
    *("--warmup", "0.05", "--min-count", "2", "--keep", "best"),
)

RECORDED_LOSS = 0.1873
"""Of validation, after the first epoch."""


def configure(root: Path, *more: str) -> TrainConfig:
    flags = (*FLAGS, *MODEL, *FIXED, "--models", str(root / "models"), "--run", str(root / "run"), *more)
    return load_config("text", flags)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its published bundle."""
    path = tmp_path_factory.mktemp("tickets")
    assert train(configure(path)) == path / "models" / "tickets" / "1"
    return path


@pytest.fixture(scope="module")
def predictor(root: Path) -> Predictor:
    return Predictor.open(root / "models" / "tickets" / "1")


def manifest_of(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "models" / "tickets" / "1" / "manifest.json").read_text())
    return found


def test_seeded_short_run_has_the_recorded_loss(root: Path) -> None:
    rows = (root / "run" / "logs" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val/loss")
    first = next(row.split(",")[column] for row in rows[1:] if row.split(",")[column])
    assert float(first) == pytest.approx(RECORDED_LOSS, rel=0.03)


def test_bundle_answers_as_its_manifest_says_and_sensibly(root: Path, predictor: Predictor) -> None:
    assert manifest_of(root)["graphs"]["fp32"]["evaluation"]["metrics"]["accuracy"] > 0.97
    asked = ("My parcel never came, where is it?", "I WANT MY MONEY BACK, you charged me twice")
    answers = list(predictor.predict([Payload(text) for text in asked]))
    assert [answer["label"] for answer in answers] == ["delivery", "billing"]
    assert answers[0]["truncated"] is False
    assert answers[0]["tokens"] == 9


def test_typos_stand_in_manifest_and_card(root: Path) -> None:
    evaluation = manifest_of(root)["graphs"]["fp32"]["evaluation"]
    found = evaluation["robustness"]
    assert list(found) == ["clean", "typos, 5% of the words", "typos, 10% of the words"]
    # All 800 rows of test, since there are fewer than are drawn.
    assert found["clean"] == pytest.approx(evaluation["metrics"]["accuracy"])
    assert found["typos, 10% of the words"] <= found["clean"]
    assert "| typos, 10% of the words |" in (root / "models" / "tickets" / "1" / "card.md").read_text()


def test_a_typo_in_every_word_costs_accuracy(
    root: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluate.robustness.TYPO_SHARES", (1.0,))
    found = of_texts(predictor, find_task("text").load(configure(root)).test)
    assert found["typos, 100% of the words"] < found["clean"] - 0.1


def test_text_has_one_answer_alone_and_among_longer_ones(predictor: Predictor) -> None:
    short, long = Payload("The tent has not arrived"), Payload("the app crashes " * 30)
    (alone,) = predictor.predict([short])
    together, _ = predictor.predict([short, long])
    assert alone["probabilities"] == pytest.approx(together["probabilities"], abs=2e-6)


def test_rows_are_put_together_in_the_proof_as_they_are_served(predictor: Predictor) -> None:
    parts = [{"ids": np.arange(1, length)[None]} for length in (2, 5, 3)]
    expected = predictor.processor.collate(parts)["ids"]
    np.testing.assert_array_equal(find_task("text").collate(parts)["ids"], expected)


def test_strangers_are_as_long_as_the_longest_and_short(root: Path) -> None:
    config = configure(root)
    data = find_task("text").load(config)
    longest = int(data.validation.lengths.max())
    strangers = find_task("text").strangers(data)
    assert [row["ids"].shape for row in strangers] == [(1, longest), (1, 1), (1, longest), (1, longest)]
    assert all(row["ids"].min() > 0 and row["ids"].max() < data.facts.vocabulary for row in strangers)


def test_ids_of_a_golden_text_are_those_it_was_trained_on(root: Path, predictor: Predictor) -> None:
    """No skew: raw text → the bundle's processor → the validation row's own ids."""
    task = find_task("text")
    data = task.load(configure(root))
    files = sorted((root / "models" / "tickets" / "1" / "golden").iterdir())
    rows = task.golden_rows(data)
    assert len(files) == len(rows) == 7
    for row, file in zip(rows, files, strict=True):
        assert file.read_text() == data.validation.raw[row]
        seen = predictor.processor.preprocess(file.read_text()).tensors["ids"]
        assert seen.tolist() == data.validation.batch(torch.tensor([row]), torch.Generator())["ids"].tolist()


def test_vocabulary_is_learned_from_the_training_rows_alone(root: Path) -> None:
    data = find_task("text").load(configure(root))
    words = Tokenizer.from_str(data.facts.tokenizer).get_vocab()
    training = " ".join(data.train.raw).lower()
    assert all(word in training for word in words if not word.startswith("<"))


def test_splits_are_disjoint_and_make_up_the_set(root: Path) -> None:
    data = find_task("text").load(configure(root))
    splits: list[Texts] = [data.train, data.validation, data.test]
    assert sum(len(split) for split in splits) == 4000
    assert len({text for split in splits for text in split.raw}) == 4000


def test_skipped_rows_are_shown_in_part_and_kept_in_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [
        f"{word} number {n},{label}" for n in range(20) for word, label in (("nice", "pos"), ("poor", "neg"))
    ]
    (tmp_path / "mail.csv").write_text("\n".join(["text,label", *good, *[",pos"] * 15]))
    config = configure(tmp_path, "--data", str(tmp_path / "mail.csv"), "--batch-size", "8")
    files = RunFiles(config.run_directory)
    load_data(config, files)
    lines = files.skipped.read_text().splitlines()
    assert lines == [f"mail.csv, row {row}: text is empty" for row in range(42, 57)]
    shown = [record.getMessage() for record in caplog.records if record.name == "training.fit.train"]
    assert len(shown) == SHOWN + 1
    assert shown[-1] == f"… and 5 more: 15 × text is empty; all are in {files.skipped}"


def test_word_dropout_hides_that_share_of_the_words_and_no_padding() -> None:
    ids = torch.tensor([[5] * 900 + [0] * 100])
    hidden = hide_words(ids, 0.3, torch.Generator().manual_seed(0))
    assert (hidden[0, 900:] == 0).all()
    assert (hidden == UNKNOWN_ID).sum().item() == pytest.approx(270, abs=45)


@pytest.mark.parametrize(
    ("longest", "buckets"), [(10, (10,)), (16, (16,)), (100, (16, 32, 64, 100)), (64, (16, 32, 64))]
)
def test_buckets_double_up_to_the_longest(longest: int, buckets: tuple[int, ...]) -> None:
    assert length_buckets(longest) == buckets
