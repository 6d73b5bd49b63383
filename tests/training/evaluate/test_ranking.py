"""The figures of a ranking agree with a version that is slow and plain."""

import math

import numpy as np
import pytest
import torch

from benchmarks.ranking import sorted_ranks
from training.evaluate.ranking import (
    MeanFigure,
    coverage,
    full_ranks,
    hit_rate,
    interval_of_mean,
    ndcg,
    reciprocal_rank,
    sampled_ranks,
)


def plain(scores: list[float], expected: set[int], seen: set[int], k: int) -> tuple[float, float, float]:
    """Hit rate, NDCG and reciprocal rank of one list; items count from 1."""
    items = [i for i in range(1, len(scores) + 1) if i not in seen or i in expected]
    items.sort(key=lambda i: -scores[i - 1])
    places = [place for place, item in enumerate(items) if item in expected]
    gain = sum(1 / math.log2(place + 2) for place in places if place < k)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(expected))))
    return float(any(place < k for place in places)), gain / ideal, 1 / (1 + places[0])


def pad(rows: list[set[int]]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([sorted(row) + [0] * (longest - len(row)) for row in rows])


def test_full_ranking_of_baskets_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.random((40, 30)))
    expected = [set(rng.choice(30, rng.integers(1, 15), replace=False) + 1) for _ in range(40)]
    seen = [set(rng.choice(30, rng.integers(1, 9), replace=False) + 1) for _ in range(40)]
    ranks = full_ranks(scores, pad(expected), pad(seen))
    found = torch.stack([hit_rate(ranks, 5), ndcg(ranks, 5), reciprocal_rank(ranks)], 1)
    slow = [plain(scores[i].tolist(), expected[i], seen[i], 5) for i in range(40)]
    torch.testing.assert_close(found, torch.tensor(slow, dtype=torch.float64))


@pytest.mark.parametrize("levels", [1, 3, 1000], ids=["all equal", "many ties", "few ties"])
def test_counting_gives_the_ranks_of_a_stable_sort(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = torch.from_numpy(rng.integers(0, levels, (60, 50)).astype(np.float32))
    expected = pad([set(rng.choice(50, rng.integers(1, 20), replace=False) + 1) for _ in range(60)])
    assert torch.equal(full_ranks(scores, expected), sorted_ranks(scores, expected))
    seen = torch.from_numpy(rng.integers(0, 51, (60, 8)))
    hidden = scores.clone()
    for row in range(60):
        for item in set(seen[row].tolist()) - set(expected[row].tolist()) - {0}:
            hidden[row, item - 1] = -math.inf
    assert torch.equal(full_ranks(scores, expected, seen), sorted_ranks(hidden, expected))


def test_a_score_that_is_no_number_gains_nothing() -> None:
    scores = torch.tensor([[math.nan, 1.0, 2.0]] * 2)
    assert full_ranks(scores, torch.tensor([[1], [3]])).tolist() == [[3], [1]]


def test_a_test_item_among_its_own_negatives_counts_once() -> None:
    scores = torch.tensor([[0.1, 0.5, 0.9, 0.3]])
    ranks = sampled_ranks(scores, torch.tensor([[2]]), torch.tensor([[1, 2, 3, 4]]))
    assert ranks.tolist() == [[1]]


def test_a_constant_model_ranks_last_among_the_negatives() -> None:
    ranks = sampled_ranks(torch.zeros(1, 5), torch.tensor([[2]]), torch.tensor([[1, 3, 5]]))
    assert ranks.tolist() == [[3]]


def test_the_mean_over_batches_is_the_mean_over_rows() -> None:
    ranks = torch.tensor([[0], [3], [12], [1]])
    metric = MeanFigure(lambda part: hit_rate(part, 3))
    metric.update(ranks[:3])
    metric.update(ranks[3:])
    assert metric.compute().item() == pytest.approx(0.5)


def test_coverage_counts_what_anybody_would_be_shown() -> None:
    assert coverage(torch.tensor([[3.0, 2, 1, 0], [3, 2, 0, 1]]), 2) == {0, 1}


def test_the_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    values = np.random.default_rng(0).normal(1, 2, 4000)
    low, high = interval_of_mean(values)
    wide = 1.96 * values.std() / math.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - wide, values.mean() + wide), abs=0.01)
