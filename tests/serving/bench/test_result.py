"""The table shows each series with its interval, and warns where its figures may mislead."""

from serving.bench.figures import Round, interval
from serving.bench.machine import fingerprint
from serving.bench.result import Probe, Result, Saturated, Server, make_series, table
from tests.serving.bench.rounds import round_of

SERVERS = (Server(url="http://a", name="baton 1"), Server(url="http://b", name=""))


def _result(*rounds: Round, limit_ms: float | None = None) -> Result:
    series = make_series(1, "closed, 2 connections", None, 2, rounds, tuple(round_of(50) for _ in rounds))
    return Result(
        machine=fingerprint(),
        servers=SERVERS,
        asked="/p, 2 bytes",
        duration_s=1.0,
        limit_ms=limit_ms,
        series=(series,),
    )


def test_a_row_has_the_median_its_interval_and_the_ratio_to_the_first_server() -> None:
    shown = table(_result(round_of(100), round_of(100)))
    assert "[0] http://a baton 1\n[1] http://b\n" in shown
    assert "| [1] | closed, 2 connections | 100 (100–100) | 2.00 (2.00–2.00) |" in shown
    assert "warning" not in shown


def test_a_single_round_has_no_interval() -> None:
    assert "| closed, 2 connections | 100 | 2.00 |" in table(_result(round_of(100)))


def test_a_limit_adds_the_share_of_good_answers() -> None:
    shown = table(_result(round_of(100, good=75), limit_ms=20.0))
    assert "| in 20 ms |" in shown
    assert "| 75.0% |" in shown


def test_a_busy_generator_and_missing_answers_are_warned_of() -> None:
    busy = round_of(100).model_copy(update={"generator_cpu": 0.95})
    lost = round_of(100).model_copy(update={"outcomes": {"200": 99, "timeout": 1}})
    assert "warning: the load generator used its whole core" in table(_result(busy))
    assert "warning: some requests were not answered" in table(_result(lost))


def test_a_probe_that_was_not_sustained_carries_an_exclamation_mark() -> None:
    probes = tuple(
        Probe(search=0, rate=rate, sustained=kept, round=round_of(rate))
        for rate, kept in ((100.0, True), (200.0, False))
    )
    found = Saturated(server=0, rate=interval([100.0]), vs_first=interval([1.0]), share=0.99, probes=probes)
    result = _result(round_of(1), limit_ms=50.0).model_copy(update={"series": (), "saturation": (found,)})
    assert "| [0] | 100 | 1.00 | 99% in 50 ms | 100, 200! |" in table(result)


def test_a_result_comes_back_from_its_file() -> None:
    result = _result(round_of(100), round_of(110))
    assert Result.model_validate_json(result.model_dump_json(indent=1)) == result
