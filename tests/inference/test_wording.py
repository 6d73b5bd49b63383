"""Numbers in messages."""

import pytest

from inference.wording import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 axes"), (1, "1 axis"), (2, "2 axes")], ids=["none", "one", "two"]
)
def test_a_noun_stands_in_the_number_of_its_count(number: int, words: str) -> None:
    assert counted(number, "axis", "axes") == words
    assert counted(number, "row") == words.replace("axes", "rows").replace("axis", "row")
