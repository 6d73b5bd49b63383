"""The named text sets: their rows, split as they were published."""

import csv
import gzip
import lzma
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, NamedTuple

from training.data import tickets
from training.data.public_sets import PublicSet
from training.data.rows import Rows
from training.data.sources import local_files


class PublishedTexts(NamedTuple):
    """Rows by split; `validation` is empty where the publishers have none."""

    train: Rows
    test: Rows
    validation: Rows


def read_public(public: PublicSet) -> PublishedTexts:
    """The rows of a named text set."""
    return _READERS[public.name](public)


def news_tokens(text: str) -> str:
    """The replacements that the stored training file was made with, in their order (its README)."""
    text = text.lower().replace("'", " ' ").replace('"', "")
    for mark in ".,()!?":
        text = text.replace(mark, f" {mark} ")
    return " ".join(text.replace(";", " ").replace(":", " ").split()[:200])


def _read_imdb(public: PublicSet) -> PublishedTexts:
    def pairs(path: Path) -> Iterator[tuple[str, str]]:
        with _open(path) as stream:
            for row in csv.DictReader(stream):
                yield row["text"], public.classes[int(row["label"])]

    train, test = local_files(public)
    return PublishedTexts(Rows.of("train", pairs(train)), Rows.of("test", pairs(test)), Rows.of("", ()))


def _read_sst2(public: PublicSet) -> PublishedTexts:
    """Phrases to train on, sentences to validate and test on, as in Kim 2014."""

    def pairs(path: Path) -> Iterator[tuple[str, str]]:
        with _open(path) as stream:
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield row["sentence"].strip(), public.classes[int(row["label"])]

    files = zip(("train", "dev", "test"), local_files(public), strict=True)
    train, validation, test = (Rows.of(split, pairs(path)) for split, path in files)
    return PublishedTexts(train, test, validation)


def _read_ag_news(public: PublicSet) -> PublishedTexts:
    """Training articles are published as tokens; the test articles are made into tokens the same way."""
    train, test = local_files(public)
    with _open(train) as stream:
        train_rows = Rows.of(
            "train", [(row["text"], public.classes[int(row["label"]) - 1]) for row in csv.DictReader(stream)]
        )
    with _open(test) as stream:
        test_rows = Rows.of(
            "test",
            [
                (news_tokens(f"{title} {text}"), public.classes[int(label) - 1])
                for label, title, text in csv.reader(stream)
            ],
        )
    return PublishedTexts(train_rows, test_rows, Rows.of("", ()))


def _read_tickets(public: PublicSet) -> PublishedTexts:
    train, test = tickets.compose()
    return PublishedTexts(Rows.of("train", train), Rows.of("test", test), Rows.of("", ()))


def _open(path: Path) -> AbstractContextManager[IO[str]]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return gzip.open(path, "rt", encoding="utf-8", newline="")


_READERS: dict[str, Callable[[PublicSet], PublishedTexts]] = {
    "ag_news": _read_ag_news,
    "imdb": _read_imdb,
    "sst2": _read_sst2,
    "tickets": _read_tickets,
}
