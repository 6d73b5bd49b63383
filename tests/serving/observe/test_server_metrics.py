"""The metrics of the server itself: its state, and its container's limits where it has some."""

from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import Metric

from serving.engine.inflight import InflightBytes
from serving.lifecycle import Lifecycle
from serving.observe.server_metrics import ServerMetricsCollector


def values(metrics: Iterable[Metric]) -> dict[str, float]:
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


def test_outside_a_container_nothing_is_told_of_limits(tmp_path: Path) -> None:
    told = values(
        ServerMetricsCollector(Lifecycle(), lambda: True, "cpu", InflightBytes(1 << 20), tmp_path).collect()
    )
    assert not [name for name in told if "cgroup" in name]
    assert told["baton_ready"] == 1


def test_a_draining_server_is_not_ready_though_its_models_are(container: Path) -> None:
    lifecycle = Lifecycle()
    collector = ServerMetricsCollector(lifecycle, lambda: True, "cpu", InflightBytes(1 << 20), container)
    assert values(collector.collect())["baton_drain_seconds"] == 0
    lifecycle.drain()
    told = values(collector.collect())
    assert (told["baton_ready"], told["baton_draining"]) == (0, 1)
    assert told["baton_drain_seconds"] > 0
    assert told["baton_cgroup_cpu_throttled_periods_total"] == 10
