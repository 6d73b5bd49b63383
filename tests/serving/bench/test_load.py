"""The load generator against a real server: every request due is accounted for, and stalls are in the latency."""

import asyncio
from urllib.parse import urlsplit

import numpy as np
import pytest

from serving.bench.figures import Round, interval, ratio, summarize
from serving.bench.load import LoadTarget, drive
from serving.bench.search import find_saturation
from serving.bench.values import BenchError, Closed, Load, Open, Record, clock
from tests.serving.bench.server import Tiny, running

REQUEST = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
RATE, SECONDS = 200.0, 0.5


def load(tiny: Tiny, shape: Load, seconds: float = SECONDS, timeout_s: float = 10.0) -> Record:
    return asyncio.run(drive(LoadTarget(urlsplit(tiny.url), (REQUEST,)), shape, seconds, timeout_s))


def took_ms(record: Record) -> list[float]:
    return [(done - due) * 1e3 for due, done in zip(record.due, record.done, strict=True)]


def arrivals() -> int:
    return int(np.random.default_rng(0).poisson(RATE * SECONDS))


@pytest.mark.parametrize("shape", [Closed(3), Open(RATE, 3)], ids=["closed", "open"])
def test_every_request_that_reached_the_server_is_counted_once(shape: Load) -> None:
    with running(Tiny(statuses=(200, 429, 504, 200), delay_s=0.002)) as tiny:
        round_ = summarize(load(tiny, shape))
    assert round_.requests == tiny.posted == sum(round_.outcomes.values()) > 20
    assert round_.outcomes.keys() == {"200", "429", "504"}
    assert abs(round_.outcomes["200"] - 2 * round_.outcomes["429"]) <= 2
    assert round_.refusal_ms.p50 > 0
    assert round_.server_ms == {"queue": 1.5, "run": 0.5}


def test_open_loop_asks_as_often_as_scheduled_though_the_server_stalls() -> None:
    with running(Tiny(stall_at=5, stall_s=0.4)) as tiny:
        record = load(tiny, Open(RATE, 1))
    assert len(record) == tiny.posted == arrivals()


def test_open_loop_counts_the_stall_in_the_latency_of_all_who_came_meanwhile() -> None:
    with running(Tiny(stall_at=5, stall_s=0.4)) as tiny:
        late = [took for took in took_ms(load(tiny, Open(RATE, 1))) if took > 50]
    # One connection, 200 arrivals a second: some 70 came in the first 350 ms of the stall.
    assert len(late) > 40
    assert max(late) >= 390


def test_closed_loop_asks_less_while_the_server_stalls() -> None:
    with running(Tiny(stall_at=5, stall_s=0.4)) as tiny:
        late = [took for took in took_ms(load(tiny, Closed(1))) if took > 390]
    assert len(late) == 1


def test_poisson_arrivals_are_those_of_the_seed() -> None:
    with running(Tiny()) as tiny:
        record = load(tiny, Open(RATE, 50))
    due = np.sort(np.array(record.due) - record.began)
    generator = np.random.default_rng(0)
    expected = np.sort(generator.uniform(0, SECONDS, generator.poisson(RATE * SECONDS)))
    np.testing.assert_allclose(due, expected, atol=1e-6)


def test_a_request_that_takes_too_long_is_given_up_and_the_rest_go_on() -> None:
    with running(Tiny(stall_at=3, stall_s=30.0)) as tiny:
        round_ = summarize(load(tiny, Closed(1), seconds=1.0, timeout_s=0.2))
    assert round_.outcomes["timeout"] >= 1  # on a busy machine others take that long too
    assert round_.outcomes["200"] > 3  # so many came before


def test_a_connection_closed_under_a_request_is_an_outcome_and_is_opened_again() -> None:
    with running(Tiny(drop_at=4)) as tiny:
        round_ = summarize(load(tiny, Closed(1)))
    assert round_.outcomes["disconnected"] == 1
    assert round_.outcomes["200"] > 10


def test_a_server_without_keep_alive_costs_no_request() -> None:
    with running(Tiny(close=True)) as tiny:
        record = load(tiny, Open(RATE, 2))
    assert summarize(record).outcomes == {"200": arrivals()}


def test_no_server_at_the_start_is_an_error_that_names_it() -> None:
    gone = Tiny()
    with running(gone):
        pass
    with pytest.raises(BenchError, match=f"{gone.url}: cannot connect"):
        load(gone, Closed(1))


def test_a_server_that_goes_away_gives_outcomes_and_no_error() -> None:
    async def both(tiny: Tiny) -> Record:
        target = LoadTarget(urlsplit(tiny.url), (REQUEST,))
        return await drive(target, Closed(1), 0.5, 1.0)

    tiny = Tiny(drop_at=0)
    with running(tiny):
        pass  # its port is free again

    async def vanishing() -> Record:
        server = await asyncio.start_server(tiny.serve, "127.0.0.1", tiny.port)
        loading = asyncio.create_task(both(tiny))
        await asyncio.sleep(0.1)
        server.close()
        return await loading

    tiny.drop_at, tiny.close = -1, True
    outcomes = summarize(asyncio.run(vanishing())).outcomes
    assert outcomes["refused"] >= 1


def test_the_rate_counts_what_was_answered_while_the_load_lasted() -> None:
    record = Record(began=0.0, ended=1.0)
    for due, status in ((0.1, 200), (0.2, 429), (0.9, 200)):
        record.add(due, due, status)
    record.done[0], record.done[1], record.done[2] = 0.2, 0.21, 1.5
    round_ = summarize(record, limit_ms=200)
    assert (round_.rate, round_.good) == (1.0, 1)
    assert round_.latency_ms.max == pytest.approx(600)
    assert round_.refusal_ms.max == pytest.approx(10)


def test_the_interval_of_equal_rounds_is_a_point_and_of_one_round_none() -> None:
    assert interval([3.0, 3.0, 3.0]).model_dump() == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert interval([3.0]).low is None
    spread = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spread.low is not None
    assert spread.high is not None
    assert spread.low < spread.median == 3.0 < spread.high


def test_a_ratio_is_taken_round_by_round_so_that_drift_cancels() -> None:
    rounds = [round_of(rate) for rate in (10, 20, 40)]
    twice = [round_of(2 * rate) for rate in (10, 20, 40)]
    found = ratio(twice, rounds, lambda each: each.rate)
    assert (found.low, found.median, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("start", [10.0, 100.0, 1000.0])
def test_the_search_finds_the_rate_above_which_answers_come_too_late(start: float) -> None:
    async def probe(rate: float) -> Round:
        return round_of(rate, good=100 if rate <= 120 else 50)

    found = asyncio.run(find_saturation(probe, 0.99, start))
    assert 0.94 * 120 <= found.rate <= 120
    assert len(found.probes) <= 16


def test_the_clock_of_a_record_is_that_of_its_requests() -> None:
    record, due = Record(), clock()
    record.add(due, due, 200)
    assert 0 <= record.done[0] - due < 1


def round_of(rate: float, good: int = 100) -> Round:
    return summarize(Record(began=0.0, ended=1.0)).model_copy(
        update={"rate": float(rate), "requests": 100, "good": good}
    )
