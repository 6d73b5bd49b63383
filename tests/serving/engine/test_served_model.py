"""The order of the index."""

from serving.engine.served_model import in_order


def test_versions_are_ordered_as_numbers_and_words_come_last() -> None:
    keys: list[tuple[str, int | str]] = [("b", 1), ("a", "draft"), ("a", 10), ("a", 9), ("a", "")]
    assert sorted(keys, key=in_order) == [("a", 9), ("a", 10), ("a", ""), ("a", "draft"), ("b", 1)]
