"""Typing errors: as many as asked for, one a word."""

import random

import pytest

from training.evaluate.typos import mistype, neighbours, with_typos


def test_typos_hit_that_share_of_the_words_and_are_one_error_each() -> None:
    text = " ".join(["marvellous", "film", "of", "a", "kind"] * 400)
    typed = with_typos(text, 0.1, seed=3)
    assert typed == with_typos(text, 0.1, seed=3) != with_typos(text, 0.1, seed=4)
    before, after = text.split(), typed.split()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) / (0.8 * len(before)) == pytest.approx(0.1, abs=0.02)  # "a" is no word
    for old, new in changed:
        swapped = sum(a != b for a, b in zip(old, new, strict=False)) == 2 and sorted(old) == sorted(new)
        replaced = len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 1
        assert swapped or replaced or abs(len(old) - len(new)) == 1, (old, new)


@pytest.mark.parametrize(
    ("letter", "keys"), [("g", "fhtyvb"), ("q", "wa"), ("p", "ol"), ("M", "NJK"), ("é", "")]
)
def test_a_neighbour_is_a_key_that_touches(letter: str, keys: str) -> None:
    assert sorted(neighbours(letter)) == sorted(keys)


def test_a_word_of_one_repeated_letter_is_never_left_as_it_was() -> None:
    draw = random.Random(0)
    assert all(mistype("aaa", draw) != "aaa" for _ in range(200))
