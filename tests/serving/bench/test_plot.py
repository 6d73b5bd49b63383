"""The plot has a line for each server and quantile, and a file that it cannot write is refused."""

from pathlib import Path

import pytest

from serving.bench.figures import Latency
from serving.bench.machine import fingerprint
from serving.bench.plot import _points, draw
from serving.bench.result import Result, Series, Server, make_series
from serving.bench.values import BenchError
from tests.serving.bench.rounds import round_of


def _result() -> Result:
    def series(rate: float | None, answers: float) -> Series:
        rounds = (round_of(answers).model_copy(update={"latency_ms": Latency(p50=1.0, p99=2.0)}),)
        return make_series(0, "load", rate, 1, rounds, rounds)

    return Result.model_validate(
        {
            "machine": fingerprint(),
            "servers": (Server(url="http://a", name=""),),
            "asked": "/p",
            "duration_s": 1.0,
            "series": (series(200.0, 90.0), series(None, 50.0)),
        }
    )


def test_points_are_ordered_by_arrivals_or_in_closed_loop_by_answers() -> None:
    assert [rate for rate, _ in _points(_result(), 0)] == [50.0, 200.0]
    assert _points(_result(), 1) == []


def test_a_plot_of_an_unknown_kind_or_in_no_folder_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("plot.xyz", "nowhere/plot.png"):
        with pytest.raises(BenchError, match="no plot: "):
            draw(_result(), tmp_path / name)
