"""A token bucket on a clock of the test's own."""

import pytest

from serving.access.bucket import TokenBucket


def test_a_full_bucket_gives_what_it_holds_and_then_its_rate() -> None:
    bucket = TokenBucket(2.0, 3.0, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.5)]
    assert bucket.take(10.4) == pytest.approx(0.1)
    assert bucket.take(10.5) == 0.0
    assert bucket.take(10.5) > 0
    assert [bucket.take(1000.0) == 0.0 for _ in range(4)] == [True, True, True, False]


def test_a_rate_under_one_still_lets_one_in() -> None:
    bucket = TokenBucket(0.1, 0.1, now=0.0)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(0.0) == pytest.approx(10.0)
