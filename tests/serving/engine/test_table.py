"""The table of versions that answer: the newest stands for the model, and the index keeps each state."""

from types import SimpleNamespace
from typing import cast

from serving.engine.served_model import IndexEntry, ModelState, ServedModel, in_order
from serving.engine.table import ModelTable


def version(number: int, name: str = "m") -> ServedModel:
    return cast("ServedModel", SimpleNamespace(name=name, version=number))


def test_the_newest_version_answers_for_its_model_whatever_the_order_of_loading() -> None:
    table, old, new = ModelTable(), version(9), version(10)
    table.put(new)
    table.put(old)
    assert table.answering["m", None] is new
    assert table.served() == [old, new]
    table.take_out(new)
    assert table.answering["m", None] is old
    table.take_out(old)
    assert not table.answering


def test_a_version_that_takes_another_ones_place_gives_it_back() -> None:
    table, first, again = ModelTable(), version(1), version(1)
    assert table.put(first) is None
    assert table.put(again) is first
    assert table.answering["m", None] is again


def test_a_renewed_version_keeps_its_place_and_is_the_newest_only_if_it_was() -> None:
    table, old, new = ModelTable(), version(1), version(2)
    table.put(old)
    table.put(new)
    renewed = version(1)
    table.renew(old, renewed)
    assert table.answering["m", 1] is renewed
    assert table.answering["m", None] is new


def test_the_index_tells_the_state_of_each_version() -> None:
    table, model = ModelTable(), version(1)
    table.put(model)
    assert table.index["m", 1] == IndexEntry("m", 1, ModelState.READY)
    table.take_out(model)
    assert table.is_draining(("m", 1))
    table.mark(("m", 2), ModelState.REFUSED, "a bad digest")
    newest = table.newest_entry("m")
    assert newest is not None
    assert newest.reason == "a bad digest"
    table.forget(("m", 2))
    table.forget(("m", 1))
    assert table.newest_entry("m") is None
    assert not table.is_draining(("m", 1))


def test_a_model_that_has_answered_is_missed_until_it_is_forgotten() -> None:
    table, model = ModelTable(), version(1)
    assert table.all_that_answered_do()
    table.put(model)
    table.take_out(model)
    assert not table.all_that_answered_do()
    table.forget_model("m")
    assert table.all_that_answered_do()


def test_versions_are_sorted_as_numbers_and_words_come_after_them() -> None:
    keys: list[tuple[str, int | str]] = [("m", "draft"), ("m", 10), ("a", 3), ("m", 9)]
    assert sorted(keys, key=in_order) == [("a", 3), ("m", 9), ("m", 10), ("m", "draft")]
