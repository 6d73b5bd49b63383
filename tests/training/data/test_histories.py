"""Examples of recommenders as tensors."""

import pytest
import torch

from training.data.histories import Held, Liked, Pairs, Spans, Steps, Windows
from training.data.recommendation import make_splits
from training.data.shop import read_shop


def test_histories_keep_the_newest_and_are_padded_on_the_left() -> None:
    spans = Spans(torch.arange(1, 8), torch.tensor([0, 3, 7]), torch.tensor([3, 7, 7]))
    assert spans.last(torch.tensor([0, 1, 2]), 3).tolist() == [[1, 2, 3], [5, 6, 7], [0, 0, 0]]
    assert spans.last(torch.tensor([2])).tolist() == [[0]]


@pytest.mark.slow
def test_drawn_negatives_are_never_items_of_the_user() -> None:
    shop = read_shop("shop")
    pairs = make_splits(shop, "pairs", 50, 7, 0.2, seed=1).train
    batch = pairs.batch(torch.arange(500), torch.Generator().manual_seed(0))
    drawn = batch["label"] == 0
    assert drawn.sum() == 3500
    owned = set(zip(*(c.tolist() for c in (pairs.user, pairs.item)), strict=True))  # type: ignore[attr-defined]
    assert not owned & set(zip(batch["user"][drawn].tolist(), batch["item"][drawn].tolist(), strict=True))


SPANS = Spans(torch.arange(1, 8), torch.tensor([0, 3]), torch.tensor([3, 7]))
ROWS = torch.tensor([0, 1])


def test_windows_pair_each_item_with_the_next_one() -> None:
    batch = Windows(SPANS, length=2).batch(ROWS, torch.Generator())
    assert (batch["history"].tolist(), batch["next"].tolist()) == ([[1, 2], [5, 6]], [[2, 3], [6, 7]])


def test_windows_of_like_length_share_a_batch_and_each_comes_once() -> None:
    stop = torch.randint(1, 40, (200,), generator=torch.Generator().manual_seed(0)).cumsum(0)
    spans = Spans(
        torch.ones(int(stop[-1]), dtype=torch.int64), stop - stop.diff(prepend=torch.tensor([0])), stop
    )
    order = Windows(spans, length=50).order(torch.Generator().manual_seed(1), 8)
    assert sorted(order.tolist()) == list(range(200))
    lengths = (spans.stop - spans.start)[order].reshape(-1, 8)
    assert (lengths.max(1).values - lengths.min(1).values).float().mean() < 4


def test_steps_and_likes_hold_whole_baskets() -> None:
    step = Steps(SPANS, SPANS, length=1).batch(ROWS, torch.Generator())
    assert (step["history"].tolist(), step["target"].tolist()) == ([[3], [7]], [[0, 1, 2, 3], [4, 5, 6, 7]])
    liked = Liked(torch.tensor([8, 9]), SPANS).batch(ROWS, torch.Generator())
    assert (liked["user"].tolist(), liked["liked"].tolist()) == ([8, 9], [[0, 1, 2, 3], [4, 5, 6, 7]])


def test_a_user_with_all_items_but_one_is_given_that_one_as_negative() -> None:
    items = 1000
    own = torch.arange(1, items)
    pairs = Pairs(torch.zeros_like(own), own, own, items, negatives=2)
    batch = pairs.batch(torch.arange(3), torch.Generator().manual_seed(0))
    assert batch["item"][batch["label"] == 0].tolist() == [items] * 6


@pytest.mark.parametrize(
    ("by_user", "filtered", "keys"),
    [(True, False, {"user", "target"}), (False, True, {"history", "target", "seen"})],
)
def test_a_held_example_has_the_keys_of_its_protocol(by_user: bool, filtered: bool, keys: set[str]) -> None:
    held = Held(torch.tensor([4, 5]), SPANS, SPANS, 2, by_user, filtered, (), ())
    batch = held.batch(ROWS, torch.Generator())
    assert batch.keys() == keys
    if filtered:
        assert batch["history"].tolist() == [[2, 3], [6, 7]]
        assert batch["seen"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]], "all of it, not the newest alone"
