"""The surprise of a text's words against brute force, and that a text's length does not decide."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from training.architectures.outliers import Signals, WordPairs
from training.data.text import Texts
from training.data.tokenizer import UNKNOWN_ID
from training.evaluate.outliers import auroc
from training.evaluate.word_pairs import MOST_SURPRISE, word_pairs

VOCABULARY = 40


def language(rows: int, seed: int) -> list[list[int]]:
    """Texts in which each word has two successors: of 12 to 40 words."""
    draw = np.random.default_rng(seed)
    texts = []
    for _ in range(rows):
        text = [int(draw.integers(2, VOCABULARY))]
        for _ in range(int(draw.integers(11, 40))):
            text.append(2 + (text[-1] * 7 + int(draw.integers(0, 2))) % (VOCABULARY - 2))
        texts.append(text)
    return texts


def texts_of(rows: list[list[int]]) -> Texts:
    return Texts.of([""] * len(rows), rows, [0] * len(rows))


@pytest.fixture(scope="module")
def score() -> WordPairs:
    return word_pairs(texts_of(language(300, 0)), texts_of(language(200, 1)), VOCABULARY)


def scores(score: WordPairs, rows: list[list[int]]) -> torch.Tensor:
    return torch.cat([score.raw(Signals((torch.tensor([row]),), torch.empty(0), None, None)) for row in rows])


def test_a_word_surprises_as_its_discounted_count_says(score: WordPairs) -> None:
    rows = language(300, 0)
    first, second = rows[0][3:5]
    pairs = [pair for row in rows for pair in pairwise(row)]
    seen, after = pairs.count((first, second)), [b for a, b in pairs if a == first]
    starts = {(0, row[0]) for row in rows}
    ends = [len({a for a, b in set(pairs) | starts if b == word}) for word in range(VOCABULARY)]
    # Absolute discounting, the rest given out by the share of contexts (Kneser & Ney 1995).
    left = 0.75 * len(set(after)) / len(after)
    share = (ends[second] + 0.5) / (sum(ends) + 0.5 * VOCABULARY)
    expected = -math.log((seen - 0.75) / len(after) + left * share)
    surprise, words = score.surprise(torch.tensor([[first, second, 0]]))
    assert surprise[0, 1].item() == pytest.approx(expected, abs=0.05), "a byte keeps a sixteenth of a nat"
    assert words.tolist() == [[True, True, False]]
    assert surprise[0, 2] == 0


def test_the_same_words_in_another_order_are_told_apart(score: WordPairs) -> None:
    own = language(200, 2)
    draw = np.random.default_rng(3)
    shuffled = [draw.permutation(row).tolist() for row in own]
    assert auroc(scores(score, own), scores(score, shuffled)) > 0.99


def test_a_text_cut_short_is_hardly_more_of_an_outlier_than_the_whole(score: WordPairs) -> None:
    own = language(400, 4)
    whole, cut = scores(score, own), scores(score, [row[:12] for row in own])
    threshold = float(whole.quantile(0.95))
    assert (cut > threshold).double().mean() <= 2.5 * 0.05


def test_an_unknown_word_surprises_the_most_wherever_it_stands(score: WordPairs) -> None:
    surprise, _ = score.surprise(torch.full((1, 3), UNKNOWN_ID))
    assert (surprise > 0.8 * MOST_SURPRISE).all()


def test_padding_changes_nothing(score: WordPairs) -> None:
    row = language(1, 5)[0]
    padded = torch.tensor([[*row, 0, 0, 0]])
    alone, beside = scores(score, [row]), score.raw(Signals((padded,), torch.empty(0), None, None))
    torch.testing.assert_close(alone, beside)
