"""Counts of words and pairs of neighbours in train, as the tables of `WordPairs`.

A pair is counted with absolute discounting and interpolated with the share of contexts that a word ends (Kneser & Ney
1995). The text's words are its own measure: nothing of the classifier is used, so any text network can have the score.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.architectures.outliers import GAIN_STEPS, WordPairs, pair_buckets
from training.data.text import Texts
from training.data.tokenizer import UNKNOWN_ID

MOST_PAIRS = 1 << 19
"""Pairs in the table; the rarest are left out above it."""

BUCKETS_A_PAIR = 8
"""At most an eighth of the buckets is taken, so that few unseen pairs are mistaken for seen ones."""

DISCOUNT = 0.75
"""Taken off every count (Kneser & Ney 1995; between 0.5 and 0.9 it changed nothing on IMDB)."""

MOST_SURPRISE = 10.0
"""Nats of one word at most: one rare name in a short text is no reason to call it foreign."""

LEAST_TEXTS = 30
"""Texts of validation as long, for the quantiles at that length."""

HIGH = 0.95
"""The quantile that measures the deviation: short texts' surprise has a heavier tail than a normal distribution's."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def word_pairs(train: Texts, validation: Texts, vocabulary: int) -> WordPairs:
    """The score with its tables from train, and the expected surprise by length from validation."""
    ids, previous = _neighbours(train)
    word = _single_words(ids, previous, vocabulary)
    before, gain = _pairs(ids, previous, word, vocabulary)
    tables = {
        "word": torch.from_numpy(-word).float(),
        "before": torch.from_numpy(before).float(),
        "gain": gain,
        "most": torch.tensor(MOST_SURPRISE),
    }
    shortest = int(train.lengths.min())
    return WordPairs(**tables, **_by_length(WordPairs(**tables), validation, shortest))


def _neighbours(texts: Texts) -> tuple[Ints, Ints]:
    """Every word with the one before, 0 at the start of a text: int64 [tokens] each."""
    ids = texts.ids.numpy().astype(np.int64)
    previous = np.concatenate([[0], ids[:-1]])
    previous[texts.starts.numpy()[:-1]] = 0
    return ids, previous


def _single_words(ids: Ints, previous: Ints, vocabulary: int) -> Floats:
    """Log probability of a word after an unseen pair: float64 [ids].

    The unknown id stands for words that each came once or so: it is as rare as half an occurrence.
    """
    keys = np.unique(previous * vocabulary + ids)
    contexts = np.bincount(keys % vocabulary, minlength=vocabulary).astype(np.float64)
    contexts[[0, UNKNOWN_ID]] = 0
    share = contexts + 0.5
    share /= share.sum()
    share[UNKNOWN_ID] = 0.5 / len(ids)
    logs: Floats = np.log(share)
    return logs


def _pairs(ids: Ints, previous: Ints, word: Floats, vocabulary: int) -> tuple[Floats, Tensor]:
    """What an unseen successor costs after each word, float64 [ids], and the table of gains, uint8 [buckets]."""
    keys, counts = np.unique(previous * vocabulary + ids, return_counts=True)
    first, second = keys // vocabulary, keys % vocabulary
    known = (first != UNKNOWN_ID) & (second != UNKNOWN_ID)
    least = next(least for least in range(1, len(ids) + 2) if (known & (counts >= least)).sum() <= MOST_PAIRS)
    known &= counts >= least
    first, second, counts = first[known], second[known], counts[known]
    followed = np.bincount(previous, minlength=vocabulary).astype(np.float64)
    kept = np.bincount(first, weights=counts - DISCOUNT, minlength=vocabulary)
    left = np.where(followed > 0, np.clip(1 - kept / np.maximum(followed, 1), 1e-3, 1), 1.0)
    backed_off = left[first] * np.exp(word[second])
    gains = np.log1p((counts - DISCOUNT) / followed[first] / backed_off)
    buckets = 1 << max(4, int(np.ceil(np.log2(max(1, len(counts)) * BUCKETS_A_PAIR))))
    places = pair_buckets(torch.from_numpy(first), torch.from_numpy(second), vocabulary, buckets).numpy()
    table = np.zeros(buckets, np.uint8)
    np.maximum.at(table, places, np.clip(np.rint(gains * GAIN_STEPS), 0, 255).astype(np.uint8))
    return -np.log(left), torch.from_numpy(table)


def _by_length(score: WordPairs, validation: Texts, shortest: int) -> dict[str, Tensor]:
    """Median of the mean surprise of validation's texts cut to each length, and its distance to `HIGH`'s quantile.

    float [longest + 1] each; between measured lengths they are interpolated over the logarithm. Below the shortest
    text of train they stay as there: no text of train says what is usual in a shorter one.
    """
    surprises = [_surprise(score, validation, row) for row in range(len(validation))]
    longest = int(validation.lengths.max())
    lengths = _rising(min(shortest, longest), longest)
    measured: list[tuple[int, float, float]] = []
    for length in lengths:
        means = [float(one[:length].mean()) for one in surprises if len(one) >= length]
        if len(means) < LEAST_TEXTS and measured:
            break
        median, high = np.quantile(means, (0.5, HIGH)).tolist()
        measured.append((length, median, high - median))
    at, expected, deviation = map(np.array, zip(*measured, strict=True))
    every = np.log(np.maximum(1, np.arange(longest + 1)))
    return {
        "expected": torch.from_numpy(np.interp(every, np.log(at), expected)).float(),
        "deviation": torch.from_numpy(np.interp(every, np.log(at), deviation)).float().clamp(min=1e-3),
    }


def _rising(first: int, last: int) -> Sequence[int]:
    """Whole lengths, each about 1.4 times the one before."""
    steps = max(2, int(np.ceil(2 * np.log2(max(last, first + 1) / first))) + 1)
    return sorted({round(length) for length in np.geomspace(first, last, steps)})


def _surprise(score: WordPairs, texts: Texts, row: int) -> Floats:
    start, end = texts.starts[row : row + 2].tolist()
    with torch.inference_mode():
        surprise, _ = score.surprise(texts.ids[start:end].long()[None])
    return surprise[0].double().numpy()
