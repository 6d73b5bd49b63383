"""The load generator against a real server: every request due is accounted for, and stalls are in the latency."""

import asyncio
from urllib.parse import urlsplit

import numpy as np
import pytest

from serving.bench.figures import summarize
from serving.bench.load import LoadTarget, drive
from serving.bench.values import BenchError, Closed, Load, Open, Record
from tests.serving.bench.server import Tiny, running, stop_listening

REQUEST = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
RATE, SECONDS = 200.0, 0.5


def load(tiny: Tiny, shape: Load, seconds: float = SECONDS, timeout_s: float = 10.0) -> Record:
    return asyncio.run(drive(LoadTarget(urlsplit(tiny.url), (REQUEST,)), shape, seconds, timeout_s))


def took_ms(record: Record) -> list[float]:
    return [(done - due) * 1e3 for due, done in zip(record.due, record.done, strict=True)]


def arrivals() -> int:
    return int(np.random.default_rng(0).poisson(RATE * SECONDS))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [Closed(3), Open(RATE, 3)], ids=["closed", "open"])
def test_every_request_that_reached_the_server_is_counted_once(shape: Load) -> None:
    with running(Tiny(statuses=(200, 429, 504, 200), delay_s=0.002)) as tiny:
        round_ = summarize(load(tiny, shape))
    assert round_.requests == tiny.posted == sum(round_.outcomes.values()) > 20
    assert round_.outcomes.keys() == {"200", "429", "504"}
    assert abs(round_.outcomes["200"] - 2 * round_.outcomes["429"]) <= 2
    assert round_.refusal_ms.p50 > 0
    assert round_.server_ms == {"queue": 1.5, "run": 0.5}


@pytest.mark.slow
def test_open_loop_asks_as_often_as_scheduled_though_the_server_stalls() -> None:
    with running(Tiny(stall_at=5, stall_s=0.4)) as tiny:
        record = load(tiny, Open(RATE, 1))
    assert len(record) == tiny.posted == arrivals()


@pytest.mark.slow
def test_open_loop_counts_the_stall_in_the_latency_of_every_arrival_meanwhile() -> None:
    with running(Tiny(stall_at=5, stall_s=0.4)) as tiny:
        late = [took for took in took_ms(load(tiny, Open(RATE, 1))) if took > 50]
    # One connection, 200 arrivals a second: some 70 came in the first 350 ms of the stall.
    assert len(late) > 40
    assert max(late) >= 390


@pytest.mark.slow
def test_closed_loop_asks_less_while_the_server_stalls() -> None:
    with running(Tiny(stall_at=5, stall_s=0.4)) as tiny:
        late = [took for took in took_ms(load(tiny, Closed(1))) if took > 390]
    assert len(late) == 1


@pytest.mark.slow
def test_poisson_arrivals_are_those_of_the_seed() -> None:
    with running(Tiny()) as tiny:
        record = load(tiny, Open(RATE, 50))
    due = np.sort(np.array(record.due) - record.began)
    generator = np.random.default_rng(0)
    expected = np.sort(generator.uniform(0, SECONDS, generator.poisson(RATE * SECONDS)))
    np.testing.assert_allclose(due, expected, atol=1e-6)


@pytest.mark.slow
def test_a_request_that_takes_too_long_is_given_up_and_the_others_are_answered() -> None:
    with running(Tiny(stall_at=3, stall_s=30.0)) as tiny:
        round_ = summarize(load(tiny, Closed(1), seconds=1.0, timeout_s=0.2))
    assert round_.outcomes["timeout"] >= 1  # on a busy machine others take that long too
    assert round_.outcomes["200"] > 3  # so many came before


@pytest.mark.slow
def test_a_connection_closed_under_a_request_is_an_outcome_and_is_opened_again() -> None:
    with running(Tiny(drop_at=4)) as tiny:
        round_ = summarize(load(tiny, Closed(1)))
    assert round_.outcomes["disconnected"] == 1
    assert round_.outcomes["200"] > 10


@pytest.mark.slow
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


@pytest.mark.slow
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
        await stop_listening(server)
        return await loading

    tiny.drop_at, tiny.close = -1, True
    outcomes = summarize(asyncio.run(vanishing())).outcomes
    assert outcomes["refused"] >= 1
