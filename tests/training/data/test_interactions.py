"""The log of interactions and its split: baskets, and what is held out of it."""

import numpy as np
import pytest

from training.data.interactions import Catalogue, hold_out, make_log
from training.errors import DataError


def test_equal_times_are_one_basket_that_holds_an_item_once() -> None:
    log = make_log([0, 0, 0, 1, 0], [5, 6, 5, 9, 7], [1, 1, 1, 0, 2])
    assert log.item.tolist() == [5, 6, 7, 9]
    assert log.basket.tolist() == [0, 0, 1, 2]


def test_the_last_basket_is_test_and_the_one_before_validation_for_a_share_of_the_users() -> None:
    log = make_log(np.repeat(np.arange(10), 4), np.tile([1, 2, 3, 4], 10), np.arange(40))
    baskets = hold_out(log, share=0.3, seed=0)
    assert log.item[baskets.start[baskets.of("test")]].tolist() == [4] * 10
    held = baskets.of("validation")
    assert log.item[baskets.start[held]].tolist() == [3] * 3
    assert hold_out(log, share=0.3, seed=0).of("validation").tolist() == held.tolist()
    assert hold_out(log, share=0.3, seed=1).of("validation").tolist() != held.tolist()


def test_users_with_one_basket_are_only_trained_on_and_too_few_others_are_refused() -> None:
    with pytest.raises(DataError, match=r"0 users have the 3 or more events \(baskets\)"):
        hold_out(make_log([0, 1, 2], [1, 2, 3], [0, 0, 0]), share=0.1, seed=0)


def test_without_a_test_the_last_basket_may_be_validation() -> None:
    log = make_log([0, 0, 1, 1, 2, 2], [1, 2, 1, 2, 1, 2], [0, 1, 0, 1, 0, 1])
    baskets = hold_out(log, share=1.0, seed=0, test=False)
    assert log.item[baskets.start[baskets.of("validation")]].tolist() == [2, 2, 2]
    assert not len(baskets.of("test"))


def test_a_digest_tells_baskets_apart() -> None:
    apart, together = (make_log([0, 0], [1, 2], times) for times in ([0, 1], [0, 0]))
    assert apart.digest() != together.digest()
    assert apart.digest() == make_log([0, 0], [2, 1], [9, 4]).digest()


def test_a_catalogue_counts_its_items() -> None:
    assert len(Catalogue(("a", "b"), ("Pen", ""))) == 2
