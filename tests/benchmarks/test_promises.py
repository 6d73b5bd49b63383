"""The promises of a run of the peers, from turns made up here."""

import pytest

from benchmarks.promises import Turns, claims
from benchmarks.turns import Turn


def turns(rates: dict[tuple[str, int], float], p99_ms: float = 0.0) -> Turns:
    return {key: [Turn(rate=rate, p99_ms=p99_ms)] * 2 for key, rate in rates.items()}


def test_a_promise_over_all_peers_is_held_against_the_best_of_them_and_not_against_ourselves() -> None:
    rates = {("baton:1", 16): 120.0, ("baton:2", 16): 900.0, ("session.run", 16): 130.0}
    rates |= {("triton:1", 16): 90.0, ("triton:2", 16): 100.0, ("raw:1", 16): 50.0}
    held = {claim.text: claim for claim in claims("text", turns(rates))}
    best = held["text, 16 connections: baton:1 over triton:2, the best peer"]
    assert (best.actual, best.kept) == ("1.20 (1.20–1.20)", True)
    bare = held["text, 16 connections: baton:1 over session.run"]
    assert (bare.actual, bare.kept) == ("0.92 (0.92–0.92)", True)
    assert len(held) == 2  # nobody was driven with 64 connections


def test_two_workers_are_held_against_the_best_number_of_tritons() -> None:
    rates = {("baton:2", 64): 30.0, ("triton:1", 64): 15.0, ("triton:2", 64): 20.0}
    (claim,) = claims("tiny", turns(rates))
    assert claim.text == "tiny, 64 connections: baton:2 over triton:2, its best"
    assert (claim.actual, claim.kept) == ("1.50 (1.50–1.50)", False)


@pytest.mark.parametrize(("p99_ms", "kept"), [(1280.0, True), (1300.0, False)])
def test_the_tail_is_held_against_the_mean_that_closed_loop_implies(p99_ms: float, kept: bool) -> None:
    (claim,) = claims("resnet50", turns({("baton:1", 64): 100.0}, p99_ms))
    assert claim.text.startswith("resnet50, 64 connections: p99")
    assert claim.kept is kept


def test_a_ratio_is_taken_inside_each_round() -> None:
    slow, fast = Turn(rate=10.0), Turn(rate=1000.0)
    drifting: Turns = {("baton:1", 1): [slow, fast], ("triton:1", 1): [Turn(rate=5.0), Turn(rate=500.0)]}
    (claim,) = claims("tiny", drifting)
    assert claim.actual == "2.00 (2.00–2.00)"


def test_a_peer_that_never_answered_is_no_rival() -> None:
    assert claims("tiny", turns({("baton:1", 1): 10.0, ("triton:1", 1): 0.0})) == []
