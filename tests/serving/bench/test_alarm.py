"""An alarm rings once for each time it is set, and not early."""

import asyncio

import pytest

from serving.bench.alarm import Alarm
from serving.bench.values import clock


@pytest.fixture(params=["timerfd", "loop"], autouse=True)
def timer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds, though only Linux has the first."""
    if request.param == "loop":
        monkeypatch.setattr("serving.bench.alarm._timerfd", lambda _: -1)


async def _rings(*delays_s: float, wait_s: float = 0.05) -> list[float]:
    """Seconds after the first `set` at which it rang."""
    rings: list[float] = []
    began = clock()
    alarm = Alarm(lambda: rings.append(clock() - began))
    try:
        for delay_s in delays_s:
            alarm.set(delay_s)
        await asyncio.sleep(wait_s)
    finally:
        alarm.close()
    return rings


def test_an_alarm_rings_once_and_not_before_its_time() -> None:
    (rang,) = asyncio.run(_rings(0.01))
    assert rang >= 0.0099


@pytest.mark.parametrize("delay_s", [0.0, -1.0])
def test_a_delay_that_is_over_rings_at_once(delay_s: float) -> None:
    assert len(asyncio.run(_rings(delay_s))) == 1


def test_the_second_time_replaces_the_first() -> None:
    (rang,) = asyncio.run(_rings(0.0, 0.02))
    assert rang >= 0.0199


def test_a_closed_alarm_does_not_ring() -> None:
    async def story() -> list[str]:
        rings: list[str] = []
        alarm = Alarm(lambda: rings.append("rang"))
        alarm.set(0.005)
        alarm.close()
        await asyncio.sleep(0.02)
        return rings

    assert asyncio.run(story()) == []
