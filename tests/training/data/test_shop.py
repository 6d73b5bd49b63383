"""The embedded shop."""

import numpy as np
import pytest

from training.data.shop import FOLLOWS, read_shop


@pytest.mark.slow
def test_the_shop_is_the_same_every_time() -> None:
    first, again = read_shop("shop"), read_shop("shop")
    assert first.digest == again.digest
    assert len(again.log) > 10_000


@pytest.mark.slow
def test_ink_follows_the_printer_more_often_than_by_chance() -> None:
    shop = read_shop("shop")
    titles, log = shop.catalogue.titles, shop.log
    printer, ink = (titles.index(title) + 1 for title in ("printer", FOLLOWS["printer"]))
    bought = set(zip(log.user[log.item == ink], log.basket[log.item == ink], strict=True))
    last = {user: log.basket[log.user == user].max() for user in set(log.user)}
    after = [
        (user, basket + 1) in bought
        for user, basket in zip(log.user[log.item == printer], log.basket[log.item == printer], strict=True)
        if basket < last[user]
    ]
    assert np.mean(after) > 5 * len(bought) / (log.basket.max() + 1)
