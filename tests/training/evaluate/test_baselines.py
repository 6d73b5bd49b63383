"""Baselines score as they are defined."""

import numpy as np
import pytest
import torch

from training.data.histories import Held, Spans
from training.data.interactions import make_log
from training.evaluate.baselines import ItemNeighbours, Popularity, Repetition, popularity

# Users 0 and 1 have items 1 and 2, user 2 has items 3 and 2, user 3 has item 3.
LOG = make_log([0, 0, 1, 1, 2, 2, 3], [1, 2, 1, 2, 3, 2, 3], range(7))
ITEMS = 4


def held(*histories: list[int]) -> Held:
    ends = torch.tensor(np.cumsum([len(history) for history in histories]))
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    spans = Spans(torch.tensor([item for history in histories for item in history]), starts, ends)
    return Held(torch.arange(len(histories)), spans, spans, 10, False, True, (), ())


def test_popularity_counts_baskets_and_is_the_same_for_everybody() -> None:
    assert popularity(LOG, ITEMS).tolist() == [2, 3, 2, 0]
    scores = Popularity(LOG, ITEMS).scores(held([1], [3]), torch.tensor([0, 1]))
    assert scores.tolist() == [[2, 3, 2, 0]] * 2


def test_neighbours_are_cosines_over_the_items_of_the_history() -> None:
    scores = ItemNeighbours(LOG, ITEMS, neighbours=10).scores(held([1, 1], [1, 3]), torch.tensor([0, 1]))
    with_second = 2 / np.sqrt(2 * 3)
    assert scores[0].tolist() == pytest.approx([1, with_second, 0, 0], abs=1e-5), (
        "a repeated item counts once"
    )
    assert scores[1, 1].item() == pytest.approx(with_second + 1 / np.sqrt(2 * 3), abs=1e-5)


def test_shrinkage_lowers_the_cosines_of_few_users_and_leaves_an_item_itself() -> None:
    shrunk = ItemNeighbours(LOG, ITEMS, 10, shrinkage=4.0).scores(held([1]), torch.tensor([0]))[0]
    assert shrunk.tolist() == pytest.approx([1, 2 / (np.sqrt(2 * 3) + 4), 0, 0], abs=1e-5)


def test_decay_weighs_the_newer_items_more_by_their_latest_place() -> None:
    knn = ItemNeighbours(LOG, ITEMS, 10, decay=1.0)
    older, newer = knn.scores(held([1, 3, 3], [3, 1, 3]), torch.tensor([0, 1]))
    assert older[0].item() == pytest.approx(1 / 3, abs=1e-5), "two items follow"
    assert newer[0].item() == pytest.approx(1 / 2, abs=1e-5), "one item follows"
    assert older[2].item() == newer[2].item() == pytest.approx(1, abs=1e-5)


def test_only_the_nearest_neighbours_are_kept_and_ties_go_by_popularity() -> None:
    scores = ItemNeighbours(LOG, ITEMS, neighbours=1).scores(held([1]), torch.tensor([0]))[0]
    assert scores.argsort(descending=True).tolist() == [0, 1, 2, 3], "itself, then by popularity"
    assert scores[1] < 1e-5


def test_repetition_prefers_the_frequent_then_the_recent_then_the_popular() -> None:
    scores = Repetition(LOG, ITEMS).scores(held([3, 3, 1, 1, 1, 4]), torch.tensor([0]))[0]
    assert scores.argsort(descending=True).tolist() == [0, 2, 3, 1]
    assert 0 < scores[1] < 1e-5
