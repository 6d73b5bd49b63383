"""Servers are driven by turns, each round in the other order, and one that goes away is left out."""

import pytest

from benchmarks.bare import Combination, runs_per_s
from benchmarks.turns import Turn, by_turns


class Driven:
    """Notes its turns in a list of all; `lives` turns, then it is gone."""

    def __init__(self, label: str, log: list[str], lives: int = 10) -> None:
        self.label, self._log, self._lives = label, log, lives

    def turn(self, connections: int, seconds: int) -> Turn:
        if not self._lives:
            raise RuntimeError("it ended")
        self._lives -= 1
        self._log.append(self.label)
        return Turn(rate=float(connections))


def test_every_other_round_is_in_the_other_order() -> None:
    log: list[str] = []
    turns = by_turns([Driven("a", log), Driven("b", log)], 4, 1, 2)
    assert log == ["b", "a", "a", "b"]
    assert turns == {"a": [Turn(4.0)] * 2, "b": [Turn(4.0)] * 2}


def test_a_server_that_goes_away_is_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    log: list[str] = []
    turns = by_turns([Driven("a", log), Driven("b", log, lives=1)], 1, 1, 3)
    assert list(turns) == ["a"]
    assert log.count("a") == 3
    assert capsys.readouterr().err == "b is gone: it ended\n"


def test_bare_runs_are_counted_over_all_threads() -> None:
    ran: list[int] = []
    assert runs_per_s(lambda: ran.append(1), 2, 0.0) > 0
    assert len(ran) >= 2
    assert str(Combination(4, 1, 2)) == "batch 4, 1 threads, 2 at once"
