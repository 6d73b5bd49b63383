"""Recommendation data by name or path, and their splits."""

from pathlib import Path

import pytest
import torch

from training.data.events import Reading
from training.data.interactions import hold_out
from training.data.recommendation import load_interactions, make_splits
from training.data.shop import read_shop
from training.errors import DataError


def test_data_that_are_neither_a_name_nor_a_file_list_the_names() -> None:
    with pytest.raises(DataError, match=r"--data 'nope' is neither a file .* nor a named set \(shop, "):
        load_interactions("nope", Reading())


@pytest.mark.slow
def test_no_held_out_event_is_in_train_and_test_follows_all_of_its_history() -> None:
    shop = read_shop("shop")
    splits = make_splits(shop, "baskets", 50, 4, 0.2, seed=1)
    baskets = hold_out(shop.log, 0.2, 1)
    trained = set(splits.train_log.basket.tolist())
    for part in ("validation", "test"):
        assert not trained & set(baskets.of(part).tolist())
    for row in range(len(splits.test)):
        user = int(splits.test.user[row])
        everything = shop.log.item[shop.log.user == user].tolist()
        assert splits.test.histories.row(row) + splits.test.targets.row(row) == everything


def test_windows_predict_every_item_but_the_first_once(tmp_path: Path) -> None:
    text = "user,item\n" + "".join(f"u{u},i{t:02d}\n" for u in range(4) for t in range(12))
    path = tmp_path / "sales.csv"
    path.write_text(text)
    found = load_interactions(str(path), Reading(strict=True))
    train = make_splits(found, "sequences", 4, 4, 0.1, seed=0).train
    batch = train.batch(torch.arange(len(train)), torch.Generator())
    assert batch["history"].shape[1] == 4
    there = batch["history"] != 0
    assert (batch["next"][there] - batch["history"][there] == 1).all()
    assert there.sum() == 3 * 10 + 9  # one of the four users gave an event to validation
