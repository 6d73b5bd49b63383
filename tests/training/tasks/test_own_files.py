"""A task's data from one's own files: the published validation split, the choice of tokens, texts without one."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from inference.configs import TextConfig
from inference.processors.text import TextProcessor
from tests.training.data.test_image_sources import fill
from tests.training.data.test_tables import GOOD, write
from training.config import load_config
from training.data.rows import Rows
from training.errors import ConfigError
from training.tasks.registry import find_task
from training.tasks.text import encode


def load(task: str, data: Path, *flags: str) -> Any:
    return find_task(task).load(load_config(task, ("--data", str(data), *flags)))


def test_images_of_a_published_validation_split_validate(tmp_path: Path) -> None:
    fill(tmp_path / "train", 10)
    fill(tmp_path / "val", 3)
    fill(tmp_path / "test", 2)
    data = load("vision", tmp_path, "--arch", "mlp", "--image-size", "[8,8,3]")
    assert data.source.rows == {"train": 20, "validation": 6, "test": 4}
    assert data.held_out.held.tolist() == list(range(20, 26))


def test_texts_of_a_published_validation_split_validate(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD, ("review", "stars"))
    write(tmp_path / "dev.csv", [("fine", "pos"), ("so bad it is", "neg")], ("review", "stars"))
    write(tmp_path / "test.csv", [("best", "pos")], ("review", "stars"))
    data = load("text", tmp_path, "--arch", "bag")
    assert list(data.validation.raw) == ["fine", "so bad it is"]
    assert data.source.choices["text_column"] == "review"
    assert data.source.choices["tokenizer"].startswith("words: 0% of the letters are of scripts without bl")


def test_texts_without_blanks_get_pieces_and_the_choice_is_recorded(tmp_path: Path) -> None:
    rows = [
        (f"{subject}は{word}{end}", label)
        for subject in ("映画", "音楽", "料理", "本", "店", "駅")
        for word, label in (("面白い", "pos"), ("最高", "pos"), ("退屈", "neg"), ("最悪", "neg"))
        for end in ("です", "でした", "ね")
    ]
    data = load("text", write(tmp_path / "mail.csv", rows), "--arch", "bag")
    assert data.source.choices["tokenizer"].startswith("pieces: 100% of the letters")
    assert data.facts.vocabulary > 20
    asked = load("text", tmp_path / "mail.csv", "--arch", "bag", "--tokenizer", "words")
    assert "tokenizer" not in asked.source.choices
    assert asked.facts.vocabulary == 2


def test_a_text_without_a_token_is_left_out_with_its_row() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "tea": 2}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[a-z]+"), "removed", invert=True)
    config = TextConfig(
        kind="text", max_length=8, length_buckets=(8,), pad_id=0, unknown_id=1, max_characters=99
    )
    rows = Rows.of("mail.csv", [("tea tea mud", "a"), ("123", "b"), ("tea", "b")])
    for by_length, expected in ((False, [2, 2, 1, 2]), (True, [2, 2, 2, 1])):
        found, faults = encode(TextProcessor(config, tokenizer), rows, ("a", "b"), by_length=by_length)
        assert faults == ["mail.csv, row 3: '123' holds no word"]
        assert found.ids.tolist() == expected
        assert found.labels.tolist() == ([1, 0] if by_length else [0, 1])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--encoding", "cp9999"), "encoding: 'cp9999' is no encoding that Python knows"),
        (("--separator", "semi"), "separator: .*it is 'semi'"),
    ],
)
def test_a_wrong_flag_for_files_is_refused(flags: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config("text", flags)
