"""The bag of n-grams: hashing, the ratio of Wang & Manning, and its folded graph."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.architectures.test_text_architectures import WORDS, random_ids
from training.architectures.bag import BagOfNgrams, buckets_for, hash_ngrams, log_count_ratio
from training.architectures.registry import architectures_for


def test_ngram_has_one_bucket_wherever_it_stands_and_counts_once() -> None:
    ids = torch.tensor([[3, 4, 3, 4, 0], [9, 3, 4, 0, 0]])
    first, second = (set(row.tolist()) for row in hash_ngrams(ids, 2, 10_000))
    # 3, 4, 34 and 43 against 9, 3, 4, 93 and 34; and the bucket of no n-gram.
    assert (len(first), len(second), len(first & second)) == (5, 6, 4)
    counts = hash_ngrams(ids, 2, 10_000)[0].tolist()
    assert [counts.count(bucket) for bucket in first - {10_000}] == [1, 1, 1, 1]


def test_order_of_a_pair_matters() -> None:
    pair, reverse = (set(hash_ngrams(torch.tensor([ids]), 2, 10_000)[0].tolist()) for ids in ([3, 4], [4, 3]))
    assert len(pair ^ reverse) == 2


def test_hash_stays_in_range_for_the_largest_vocabulary() -> None:
    ids = torch.full((1, 4), 2**31 - 1)
    grams = hash_ngrams(ids, 3, 1 << 20)
    assert ((grams >= 0) & (grams <= 1 << 20)).all()


def test_log_count_ratio_is_that_of_the_paper() -> None:
    """Three texts of class 0 hold the first n-gram and one the second; of class 1, one and three."""
    ratio = log_count_ratio(torch.tensor([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0]]), smoothing=1.0)
    expected = np.log((4 / 7) / (2 / 7))
    np.testing.assert_allclose(ratio, [[expected, -expected, 0], [-expected, expected, 0]], rtol=1e-6)


def test_untrained_bag_is_naive_bayes() -> None:
    bag = architectures_for("text")["bag"].build(WORDS, 2, buckets=1 << 12)
    assert isinstance(bag, BagOfNgrams)
    bag.prepare([(torch.tensor([[5, 5, 5], [6, 6, 6]]), torch.tensor([0, 1]))])
    assert bag(torch.tensor([[5], [6]])).argmax(1).tolist() == [0, 1]
    # What only padding holds adds nothing: a text of unseen words is undecided.
    assert bag(torch.tensor([[7, 8, 0]])).tolist() == [[0, 0]]


def test_folded_bag_is_the_same_function() -> None:
    bag = BagOfNgrams(3, longest=2, buckets=1 << 12, prior=0.4, dropout=0.5).eval()
    nn.init.normal_(bag.weight)
    ids = random_ids(5, 20)
    torch.testing.assert_close(bag.deployed()(ids), bag(ids))


def test_rows_are_kept_of_the_ngrams_that_train_holds_and_of_no_other() -> None:
    bag = BagOfNgrams(3, longest=2, buckets=1 << 12, prior=0.4, dropout=0.0).eval()
    ids = random_ids(6, 8, seed=3)
    bag.prepare([(ids, torch.arange(6) % 3)])
    assert len(bag.weight) == len(
        set(hash_ngrams(ids, 2, 1 << 12).flatten().tolist())
    )  # and the row of no n-gram
    nn.init.normal_(bag.weight)
    assert bag(torch.full((1, 1), 499)).tolist() == [bag.bias.tolist()]
    both = torch.cat([ids, random_ids(6, 8, seed=4)])
    torch.testing.assert_close(bag.deployed()(both), bag(both))


@pytest.mark.parametrize(("classes", "buckets"), [(2, 1 << 20), (32, 1 << 20), (33, 1 << 19), (200, 1 << 17)])
def test_a_table_of_many_classes_has_fewer_buckets(classes: int, buckets: int) -> None:
    assert buckets_for(classes) == buckets
