"""Clusters as a reader sees them, with what the standard library knows of Unicode."""

import unicodedata

import pytest

from inference.processors.graphemes import cluster_starts


@pytest.mark.parametrize(
    "clusters",
    [
        ("a", "b", " ", "c"),
        ("e\u0301", "t", "q\u0323\u0307"),
        ("한", "국", " ", "어"),
        tuple(unicodedata.normalize("NFD", letter) for letter in "한국어값"),
        ("가\u11a8", "각\u11a8", "a"),  # a syllable takes tails, whether it has one or not
        ("각", "\u1161"),  # and one that has a tail takes no vowel
        ("\u1100", "a", "\u1161"),
        ("नि", "म"),
        ("ว", "น\u0e49ำ"),
        ("👩‍👩‍👧", "👩", "👧"),
        ("👍🏽", "❤️", "👍"),
        ("🇩🇪", "🇫🇷", "🇯", "x", "🇵🇱"),
        ("a\u200d", "b"),
        ("\r\n", "\n", "\r", "\u0301"),
        ("\u0301", "a"),
    ],
    ids=ascii,
)
def test_a_text_is_cut_where_a_reader_sees_characters(clusters: tuple[str, ...]) -> None:
    text = "".join(clusters)
    starts = cluster_starts(text)
    ends = [*starts[1:], len(text)]
    assert tuple(text[start:end] for start, end in zip(starts, ends, strict=True)) == clusters


def test_an_empty_text_has_no_cluster() -> None:
    assert cluster_starts("") == []
