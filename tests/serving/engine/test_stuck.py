"""A run that takes longer than the limit is told, once in the log, until it ends."""

from typing import cast

import pytest

from serving.engine.batching import DynamicBatcher
from serving.engine.stuck import RunWatch


class Batcher:
    """One with a run under way."""

    def __init__(self, name: str, run_age_s: float) -> None:
        self.name, self.run_age_s = name, run_age_s


def _watch(limit_s: float, *batchers: Batcher) -> RunWatch:
    return RunWatch(cast("list[DynamicBatcher]", list(batchers)), limit_s)


def test_the_longest_run_is_told_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    quick, slow = Batcher("quick", 1.0), Batcher("slow", 300.0)
    watch = _watch(300.0, quick, slow)
    assert watch.stuck() == ""
    slow.run_age_s = 301.0
    said = "slow: a run takes longer than --run-timeout-s, 300 s"
    assert {watch.stuck() for _ in range(3)} == {said}
    slow.run_age_s = 0.0
    assert watch.stuck() == ""
    assert caplog.messages == [f"{said}: this process should be replaced"]


def test_a_limit_of_zero_and_a_server_without_models_are_never_stuck() -> None:
    assert _watch(0.0, Batcher("slow", 1e6)).stuck() == ""
    assert _watch(300.0).stuck() == ""
