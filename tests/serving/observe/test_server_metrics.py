"""What the server tells of itself and of its container, read from files as the kernel writes them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from serving.lifecycle import Lifecycle
from serving.observe import cgroup
from serving.observe.cgroup import Throttling
from serving.observe.server_metrics import ServerMetricsCollector


def version_2(root: Path) -> None:
    (root / "cpu.stat").write_text(
        "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 2500000\nnr_bursts 0\n"
    )
    (root / "memory.current").write_text("1000\n")
    (root / "memory.stat").write_text("anon 600\ninactive_file 300\n")
    (root / "memory.max").write_text("2000\n")


def version_1(root: Path) -> None:
    (root / "cpu").mkdir()
    (root / "cpu/cpu.stat").write_text("nr_periods 40\nnr_throttled 10\nthrottled_time 2500000000\n")
    (root / "memory").mkdir()
    (root / "memory/memory.usage_in_bytes").write_text("1000\n")
    (root / "memory/memory.stat").write_text("cache 400\ntotal_inactive_file 300\n")
    (root / "memory/memory.limit_in_bytes").write_text("2000\n")


@pytest.fixture(params=[version_1, version_2], ids=["cgroup-1", "cgroup-2"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write: Callable[[Path], None] = request.param
    write(tmp_path)
    return tmp_path


def test_both_versions_of_cgroups_are_read_the_same(container: Path) -> None:
    assert cgroup.throttling(container) == Throttling(40, 10, 2.5)
    assert cgroup.memory_bytes(container) == 700
    assert cgroup.memory_limit_bytes(container) == 2000


@pytest.mark.parametrize(
    ("file", "text"), [("memory.max", "max\n"), ("memory/memory.limit_in_bytes", "9223372036854771712\n")]
)
def test_no_memory_limit_is_not_a_large_one(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert cgroup.memory_limit_bytes(tmp_path) is None


def values(metrics: Iterable[Metric]) -> dict[str, float]:
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


def test_outside_a_container_nothing_is_told_of_limits(tmp_path: Path) -> None:
    told = values(ServerMetricsCollector(Lifecycle(), lambda: True, "cpu", tmp_path).collect())
    assert not [name for name in told if "cgroup" in name]
    assert told["baton_ready"] == 1


def test_a_draining_server_is_not_ready_though_its_models_are(container: Path) -> None:
    lifecycle = Lifecycle()
    collector = ServerMetricsCollector(lifecycle, lambda: True, "cpu", container)
    assert values(collector.collect())["baton_drain_seconds"] == 0
    lifecycle.drain()
    told = values(collector.collect())
    assert (told["baton_ready"], told["baton_draining"]) == (0, 1)
    assert told["baton_drain_seconds"] > 0
    assert told["baton_cgroup_cpu_throttled_periods_total"] == 10
