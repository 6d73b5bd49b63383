"""Two towers: the term for buying again, and words of titles."""

import torch

from tests.training.architectures.recommenders import ITEMS, LENGTH, made
from training.architectures import two_towers


def test_buying_again_weighs_each_purchase_by_its_recency() -> None:
    model = made("two-towers")
    assert isinstance(model, two_towers.TwoTowers)
    history = torch.tensor([[0, 3, 5, 3]])
    with_term = model(history)
    model.repeats = False
    added = (with_term - model(history))[0]
    again = model.again[LENGTH - 4 :]
    expected = torch.zeros(ITEMS)
    expected[2], expected[4] = again[1] + again[3], again[2]
    torch.testing.assert_close(added, expected)


def test_words_of_one_title_only_are_left_out() -> None:
    table = two_towers.title_words(["red cup", "Blue cup", "red red pot"])
    assert table.tolist() == [[0, 0], [1, 2], [1, 0], [2, 0]]
