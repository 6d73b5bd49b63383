"""A short month against a real server: everything is answered as it should be, and the counts agree."""

import argparse
import asyncio
from collections import Counter

import pytest

from benchmarks.soak import __main__ as soak


@pytest.mark.slow
def test_two_days_are_answered_as_they_should_be_and_counted_alike() -> None:
    given = argparse.Namespace(seed=1, days=2, requests=1200, reloads=2, connections=4)
    month = asyncio.run(soak._month(given, 1))
    assert month.wrong == 0, month.samples
    assert month.differing == []
    assert month.compared > 0
    assert [reading.asked > 500 for reading in month.readings] == [True, True]
    assert {200, 400, 404, 413} <= month.statuses.keys()


def test_what_grew_is_told() -> None:
    readings = [soak.Reading(day, 100.0 + 10 * (day > 8), 15, 12) for day in range(1, 13)]
    month = soak.Month(readings, Counter({200: 12}), 0, [], 1, [], 1.0)
    kept = {
        claim.text.partition(",")[0].removeprefix("x: "): claim.kept for claim in soak._claims("x", month, 8)
    }
    assert kept["RSS"] is False
    assert kept["descriptors"] is kept["threads"] is True
