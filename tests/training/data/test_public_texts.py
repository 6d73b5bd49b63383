"""The named text sets, from files made as theirs are."""

import gzip
import lzma
from pathlib import Path

import pytest

from training.data import public_texts
from training.data.public_sets import PUBLIC_SETS
from training.data.public_texts import news_tokens, read_public


def test_news_are_made_into_tokens_as_their_training_file_was() -> None:
    raw = 'Fears for T N pension after talks: "It\'s over", (Reuters) says; really?'
    expected = "fears for t n pension after talks it ' s over , ( reuters ) says really ?"
    assert news_tokens(raw) == expected
    assert news_tokens(expected) == expected


def packed(path: Path, text: str) -> Path:
    path.write_bytes((lzma if path.suffix == ".xz" else gzip).compress(text.encode()))
    return path


@pytest.mark.parametrize(
    ("name", "files", "train", "test", "validation"),
    [
        (
            "imdb",
            {"train.csv.xz": "text,label\nfine,1\n", "test.csv.xz": 'text,label\n"dull, long",0\n'},
            ("fine", "positive", "train, row 2"),
            ("dull, long", "negative", "test, row 2"),
            None,
        ),
        (
            "sst2",
            {f"{split}.tsv.gz": f'sentence\tlabel\n"a {split}\t1\n' for split in ("train", "dev", "test")},
            ('"a train', "positive", "train, row 2"),
            ('"a test', "positive", "test, row 2"),
            ('"a dev', "positive", "dev, row 2"),
        ),
        (
            "ag_news",
            {"train.csv.xz": "text,label\nstocks rise .,3\n", "test.csv.gz": "4,Chips,Faster.\n"},
            ("stocks rise .", "Business", "train, row 2"),
            ("chips faster .", "Sci/Tech", "test, row 2"),
            None,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_named_set_is_read_from_its_own_format(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    files: dict[str, str],
    train: tuple[str, ...],
    test: tuple[str, ...],
    validation: tuple[str, ...] | None,
) -> None:
    paths = [packed(tmp_path / file, text) for file, text in files.items()]
    monkeypatch.setattr(public_texts, "local_files", lambda _: paths)
    found = read_public(PUBLIC_SETS[name])
    assert list(map(list, found)) == [[train], [test], [] if validation is None else [validation]]
