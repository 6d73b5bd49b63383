"""A server serves until it is told to stop, once."""

import pytest

from serving.lifecycle import Lifecycle


def test_the_first_signal_counts_and_another_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("serving.lifecycle.time.monotonic", lambda: now[0])
    lifecycle = Lifecycle()
    assert (lifecycle.draining, lifecycle.drain_seconds) == (False, 0.0)
    lifecycle.drain()
    now[0] = 103.0
    lifecycle.drain()
    assert (lifecycle.draining, lifecycle.drain_began, lifecycle.drain_seconds) == (True, 100.0, 3.0)
