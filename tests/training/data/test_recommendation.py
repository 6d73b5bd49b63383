"""Interactions: how they are split, what is left out and said, and what the examples hold."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from training.data.events import Columns, read_events
from training.data.histories import Spans
from training.data.interactions import hold_out, make_log
from training.data.recommendation import load_interactions, make_splits
from training.data.retail import Line, clean
from training.data.shop import read_shop
from training.errors import DataError

COLUMNS = Columns("user", "item", "time", "title")
GOOD = """user,item,time,title
ann,p1,2024-01-01,Pen
ann,p2,2024-01-02,Ink
ann,p3,2024-01-03,Cup
bob,p2,2024-01-01,Ink
bob,p1,2024-01-05,Pen
bob,p3,2024-01-09,Cup
"""


def write(folder: Path, text: str, name: str = "sales.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    found = read_events(write(tmp_path, GOOD), COLUMNS, repeats=False, strict=True)
    assert found.catalogue.ids == ("p1", "p2", "p3")
    assert found.catalogue.titles == ("Pen", "Ink", "Cup")
    assert found.log.item.tolist() == [1, 2, 3, 2, 1, 3]
    assert found.skipped == ()


def test_parquet_and_tsv_say_the_same_as_csv(tmp_path: Path) -> None:
    expected = read_events(write(tmp_path, GOOD), COLUMNS, repeats=False, strict=True).log.item.tolist()
    tabs = write(tmp_path, GOOD.replace(",", "\t"), "sales.tsv")
    rows = [line.split(",") for line in GOOD.splitlines()]
    table = pa.table({name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])})
    parquet.write_table(table, tmp_path / "sales.parquet")
    for path in (tabs, tmp_path / "sales.parquet"):
        assert read_events(path, COLUMNS, repeats=False, strict=True).log.item.tolist() == expected


FAULTS = [
    ("ann,,2024-01-04,Pad\n", "row 7: no item"),
    (",p1,2024-01-04,Pen\n", "row 7: no user"),
    ("ann,p4,soon,Pad\n", "row 7: time is 'soon', expected a number or an ISO date"),
    ("ann,p1,2024-02-01,Pen\n", "row 7: user 'ann' has item 'p1' in row 1 already"),
    ("eve,p1,2024-02-01,Pen\n", "row 7: user 'eve' has events at one time only; used in training alone"),
    ("ann,p1\nann,,2024-01-04,Pad\n", "row 8: no item"),
    ("ann,p1\n", "row 7: 2 fields, expected 4"),
]


@pytest.mark.parametrize(("line", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_a_bad_row_is_skipped_and_named_and_refused_when_strict(
    tmp_path: Path, line: str, words: str
) -> None:
    path = write(tmp_path, GOOD + line)
    found = read_events(path, COLUMNS, repeats=False, strict=False)
    assert f"{path}: {words}" in found.skipped
    with pytest.raises(DataError) as refused:
        read_events(path, COLUMNS, repeats=False, strict=True)
    assert f"{path}: {words}" in str(refused.value)


def test_many_users_with_one_event_are_named_up_to_a_limit_and_counted(tmp_path: Path) -> None:
    text = "user,item\n" + "".join(f"u{n:02d},i{n % 5}\n" for n in range(30))
    found = read_events(write(tmp_path, text), Columns("user", "item"), repeats=False, strict=False)
    assert len(found.skipped) == 21
    assert found.skipped[-1].endswith("sales.csv: 10 more such users")


def test_a_missing_column_is_named_with_those_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column when; it has user, item, time, title \(--user-column"):
        read_events(write(tmp_path, GOOD), Columns("user", "item", "when"), repeats=False, strict=False)


def test_a_file_with_one_item_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item\na,x\nb,x\n")
    with pytest.raises(DataError, match="found 2 users and 1 items, expected at least two of each"):
        read_events(path, Columns("user", "item"), repeats=False, strict=False)


def test_data_that_are_neither_a_name_nor_a_file_list_the_names() -> None:
    with pytest.raises(DataError, match=r"--data 'nope' is neither a file .* nor a named set \(shop, "):
        load_interactions("nope", COLUMNS, repeats=False, strict=False)


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


def test_histories_keep_the_newest_and_are_padded_on_the_left() -> None:
    spans = Spans(torch.arange(1, 8), torch.tensor([0, 3, 7]), torch.tensor([3, 7, 7]))
    assert spans.last(torch.tensor([0, 1, 2]), 3).tolist() == [[1, 2, 3], [5, 6, 7], [0, 0, 0]]
    assert spans.last(torch.tensor([2])).tolist() == [[0]]


def test_windows_predict_every_item_but_the_first_once(tmp_path: Path) -> None:
    text = "user,item\n" + "".join(f"u{u},i{t:02d}\n" for u in range(4) for t in range(12))
    found = read_events(write(tmp_path, text), Columns("user", "item"), repeats=False, strict=True)
    train = make_splits(found, "sequences", 4, 4, 0.1, seed=0).train
    batch = train.batch(torch.arange(len(train)), torch.Generator())
    assert batch["history"].shape[1] == 4
    there = batch["history"] != 0
    assert (batch["next"][there] - batch["history"][there] == 1).all()
    assert there.sum() == 3 * 10 + 9  # one of the four users gave an event to validation


def test_drawn_negatives_are_never_items_of_the_user() -> None:
    shop = read_shop("shop")
    pairs = make_splits(shop, "pairs", 50, 7, 0.2, seed=1).train
    batch = pairs.batch(torch.arange(500), torch.Generator().manual_seed(0))
    drawn = batch["label"] == 0
    assert drawn.sum() == 3500
    owned = set(zip(*(c.tolist() for c in (pairs.user, pairs.item)), strict=True))  # type: ignore[attr-defined]
    assert not owned & set(zip(batch["user"][drawn].tolist(), batch["item"][drawn].tolist(), strict=True))


@pytest.mark.slow
def test_the_shop_is_the_same_every_time() -> None:
    assert read_shop("shop").digest == read_shop("shop").digest
    assert len(read_shop("shop").log) > 10_000


RETAIL = [
    (Line("536365", "85123A", "HOLDER", 6, "2010-12-01", "17850"), None),
    (Line("C536379", "85123A", "HOLDER", -1, "2010-12-01", "17850"), "cancelled, or nothing bought"),
    (Line("536370", "POST", "POSTAGE", 3, "2010-12-01", "12583"), "no product (postage, manual entry, fee)"),
    (Line("536370", "gift_0001_20", "", 1, "2010-12-01", "1"), "no product (postage, manual entry, fee)"),
    (Line("536414", "22139", "", 56, "2010-12-01", ""), "no customer"),
]


@pytest.mark.parametrize(("line", "reason"), RETAIL, ids=[line.code + line.invoice for line, _ in RETAIL])
def test_lines_that_are_no_purchase_of_a_product_are_dropped_and_counted(
    line: Line, reason: str | None
) -> None:
    kept, dropped = clean([line])
    assert (len(kept), dropped) == ((1, {}) if reason is None else (0, {reason: 1}))
