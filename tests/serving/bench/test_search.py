"""The search brackets the highest rate that is sustained, from any start."""

import asyncio

import pytest

from serving.bench.figures import Round
from serving.bench.search import find_saturation
from tests.serving.bench.rounds import round_of


@pytest.mark.parametrize("start", [10.0, 100.0, 1000.0])
def test_the_search_finds_the_rate_above_which_answers_come_too_late(start: float) -> None:
    async def probe(rate: float) -> Round:
        return round_of(rate, good=100 if rate <= 120 else 50)

    found = asyncio.run(find_saturation(probe, 0.99, start))
    assert 0.94 * 120 <= found.rate <= 120
    assert len(found.probes) <= 16


def test_a_server_that_sustains_no_rate_is_searched_down_and_found_at_nothing() -> None:
    async def probe(rate: float) -> Round:
        return round_of(rate, good=0)

    found = asyncio.run(find_saturation(probe, 0.99, 100.0))
    assert found.rate == 0
    rates = [rate for rate, _, _ in found.probes]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 16


def test_the_share_of_good_answers_decides_whether_a_rate_is_sustained() -> None:
    async def probe(rate: float) -> Round:
        return round_of(rate, good=95 if rate <= 100 else 0)

    assert asyncio.run(find_saturation(probe, 0.99, 80.0)).rate == 0
    assert asyncio.run(find_saturation(probe, 0.95, 80.0)).rate == pytest.approx(100, rel=0.06)
