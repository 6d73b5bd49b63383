"""The metrics of the server as a whole: whether it is ready, whether it drains, and the limits of its container."""

from collections.abc import Callable, Iterator
from pathlib import Path

import onnxruntime
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inference.runtime.machine import available_cpus
from serving.engine.diagnostics import server_version
from serving.engine.inflight import InflightBytes
from serving.lifecycle import Lifecycle
from serving.observe import cgroup


class ServerMetricsCollector(Collector):
    """Reads everything at the moment of a scrape."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        ready: Callable[[], bool],
        device: str,
        inflight: InflightBytes,
        root: Path = cgroup.ROOT,
    ) -> None:
        """`ready`: the answer of readiness while the server is not draining. `root`: the cgroup's files."""
        self._lifecycle, self._ready, self._root = lifecycle, ready, root
        self._device, self._inflight = device, inflight

    def collect(self) -> Iterator[Metric]:
        """The state first, then the container's limits where it has some."""
        info = GaugeMetricFamily(
            "baton_info", "The server: always 1.", labels=("version", "onnxruntime", "device")
        )
        info.add_metric((server_version(), onnxruntime.__version__, self._device), 1)
        yield info
        draining = self._lifecycle.draining
        yield _gauge("baton_ready", "1 if requests should be sent here.", self._ready() and not draining)
        yield _gauge("baton_draining", "1 since the server was told to stop.", draining)
        yield _gauge(
            "baton_drain_seconds", "Seconds since the server was told to stop.", self._lifecycle.drain_seconds
        )
        yield _gauge("baton_cpus", "CPUs that threads are planned for.", available_cpus())
        yield _gauge("baton_inflight_bytes", "Bytes held for requests now.", self._inflight.used)
        yield _gauge("baton_inflight_bytes_limit", "Bytes held for requests at most.", self._inflight.limit)
        yield from self._container()

    def _container(self) -> Iterator[Metric]:
        used, limit = cgroup.memory_bytes(self._root), cgroup.memory_limit_bytes(self._root)
        if used is not None:
            yield _gauge("baton_cgroup_memory_bytes", "Bytes that the container uses.", used)
        if limit is not None:
            yield _gauge("baton_cgroup_memory_limit_bytes", "Bytes that the container may use.", limit)
        throttled = cgroup.throttling(self._root)
        if throttled is not None:
            yield _counter("baton_cgroup_cpu_periods", "Periods of the CPU quota.", throttled.periods)
            yield _counter(
                "baton_cgroup_cpu_throttled_periods",
                "Periods in which the CPU quota ran out.",
                throttled.throttled_periods,
            )
            yield _counter(
                "baton_cgroup_cpu_throttled_seconds",
                "Seconds in which the CPU quota held threads back.",
                throttled.throttled_seconds,
            )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(name, documentation, value=value)
