"""Two versions are compared round by round, and a chosen part alone is measured."""

import argparse

import pytest

from benchmarks.versions import PARTS, Comparison, order, parts, step_ms


def test_a_ratio_is_taken_inside_each_round_and_held_against_its_promise() -> None:
    drifting = [(100.0, 99.0), (50.0, 49.5), (200.0, 198.0)]
    comparison = Comparison("tiny: answers a second", drifting, 0, least=0.98)
    assert comparison.row() == (
        "tiny: answers a second",
        "100 (50–200)",
        "99 (50–198)",
        "0.99 (0.99–0.99)",
    )
    (claim,) = comparison.claims()
    assert (claim.expected, claim.actual, claim.kept) == ("at least 0.98", "0.99 (0.99–0.99)", True)


@pytest.mark.parametrize(
    ("least", "most", "kept"),
    [(0.98, None, [False]), (None, 0.5, [False]), (None, 1.0, [True]), (None, None, [])],
)
def test_only_a_promise_makes_a_claim(least: float | None, most: float | None, kept: list[bool]) -> None:
    comparison = Comparison("x", [(10.0, 9.0)], 0, least, most)
    assert [claim.kept for claim in comparison.claims()] == kept


def test_parts_are_chosen_by_name_and_an_unknown_one_is_refused() -> None:
    assert parts("tiny,train") == ("tiny", "train")
    assert parts(",".join(PARTS)) == PARTS
    with pytest.raises(argparse.ArgumentTypeError, match="got 'tiy', expected some of starts, tiny"):
        parts("tiny,tiy")


def test_the_sides_begin_in_turn() -> None:
    assert [order(turn) for turn in range(4)] == [(1, 0), (0, 1), (1, 0), (0, 1)]


def test_a_step_is_read_from_a_result_of_any_version() -> None:
    assert (
        step_ms(
            '{"rows": [["Baton", "12.50 (12.1–13)"], ["bare loop", "12.00"]], "claims": [{"wanted": "x"}]}'
        )
        == 12.5
    )
