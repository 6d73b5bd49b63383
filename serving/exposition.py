"""The metrics as Prometheus reads them: Baton's own names, and Triton's as an alias set.

Labels are `model` and `version` of registered models, and words from fixed lists; nothing that a caller
sends becomes a label.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.call import STAGES
from serving.metrics import (
    CANCELLED,
    DEADLINE,
    FAILED,
    INVALID,
    OUTCOMES,
    REJECTED,
    ROWS,
    SECONDS,
    STAGE_SECONDS,
    SUCCESS,
    Distribution,
    ModelMetrics,
)
from serving.registry import IndexEntry, ModelState, ServedModel

_LABELS = ("model", "version")
_US = 1e-3  # microseconds in a nanosecond
_S = 1e-9


class Shown(Protocol):
    """What there is to show: the registry."""

    def served(self) -> list[ServedModel]:
        """Every version that answers."""
        ...

    def index(self) -> list[IndexEntry]:
        """Every version known."""
        ...


class ModelCollector(Collector):
    """Renders each served model's accumulators at the moment of a scrape."""

    def __init__(self, registry: Shown) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """All metric families, in the order in which a reader wants them."""
        served = self._registry.served()
        metrics = [model.metrics for model in served]
        yield _info(served)
        yield _states(self._registry.index())
        yield _outcomes(metrics)
        yield _rejections(metrics)
        yield _requests(metrics)
        yield _stages(metrics)
        yield _batches(metrics)
        yield _queued("baton_queue_rows", "Rows that wait for a run.", served)
        yield _in_flight(metrics)
        yield from _triton(metrics)
        yield _queued("nv_inference_pending_request_count", "Triton's name for what waits.", served)


def metrics_registry(registry: Shown) -> CollectorRegistry:
    """A registry of this server's own, so that two servers in one process do not meet."""
    made = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    made.register(ModelCollector(registry))
    return made


def _info(served: Sequence[ServedModel]) -> Metric:
    names = (*_LABELS, "task", "precision", "provider", "digest")
    family = GaugeMetricFamily("baton_model_info", "What is served: always 1.", labels=names)
    for model in served:
        predictor = model.predictor
        graph = model.manifest.graphs[predictor.precision].file
        digest = model.manifest.files[graph].sha256
        facts = (model.manifest.task, predictor.precision, predictor.session.provider, digest)
        family.add_metric((model.name, str(model.version), *facts), 1)
    return family


def _states(index: Iterable[IndexEntry]) -> Metric:
    family = GaugeMetricFamily(
        "baton_model_state", "1 for the state that a version is in.", labels=(*_LABELS, "state")
    )
    for entry in index:
        for state in ModelState:
            labels = (entry.name, str(entry.version), state.value)
            family.add_metric(labels, entry.state is state)
    return family


def _outcomes(metrics: Iterable[ModelMetrics]) -> Metric:
    family = CounterMetricFamily(
        "baton_requests", "Requests by how they ended.", labels=(*_LABELS, "outcome")
    )
    for one in metrics:
        for outcome in OUTCOMES:
            count = one.successes if outcome == SUCCESS else one.outcomes[outcome]
            family.add_metric((*_key(one), outcome), count)
    return family


def _rejections(metrics: Iterable[ModelMetrics]) -> Metric:
    family = CounterMetricFamily(
        "baton_rejected", "Requests that were turned away.", labels=(*_LABELS, "reason")
    )
    for one in metrics:
        for reason, count in one.rejections.items():
            family.add_metric((*_key(one), reason), count)
    return family


def _requests(metrics: Iterable[ModelMetrics]) -> Metric:
    family = HistogramMetricFamily(
        "baton_request_seconds", "Seconds from a request's body to its answer.", labels=_LABELS
    )
    for one in metrics:
        family.add_metric(_key(one), _buckets(one.requests, SECONDS), one.requests.total * _S)
    return family


def _stages(metrics: Iterable[ModelMetrics]) -> Metric:
    family = HistogramMetricFamily(
        "baton_stage_seconds", "Seconds that answered requests spent in a stage.", labels=(*_LABELS, "stage")
    )
    for one in metrics:
        for stage, seen in zip(STAGES, one.stages, strict=True):
            family.add_metric((*_key(one), stage), _buckets(seen, STAGE_SECONDS), seen.total * _S)
    return family


def _batches(metrics: Iterable[ModelMetrics]) -> Metric:
    family = HistogramMetricFamily("baton_batch_rows", "Rows of each run.", labels=_LABELS)
    for one in metrics:
        family.add_metric(_key(one), _buckets(one.batch_rows, ROWS), one.batch_rows.total)
    return family


def _queued(name: str, documentation: str, served: Iterable[ServedModel]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=_LABELS)
    for model in served:
        family.add_metric(_key(model.metrics), model.batcher.queued_rows)
    return family


def _in_flight(metrics: Iterable[ModelMetrics]) -> Metric:
    family = GaugeMetricFamily("baton_in_flight", "Requests under way.", labels=_LABELS)
    for one in metrics:
        family.add_metric(_key(one), one.in_flight)
    return family


def _triton(metrics: Sequence[ModelMetrics]) -> Iterator[Metric]:
    """Triton's names, so that dashboards and autoscalers made for it work unchanged."""
    for name, documentation, read in _ALIASES:
        # Triton's counters lack the suffix `_total` that the client library insists on, so they go untyped.
        family = Metric(name, documentation, "unknown")
        for one in metrics:
            family.add_sample(name, dict(zip(_LABELS, _key(one), strict=True)), read(one))
        yield family
    yield _triton_failures(metrics)


def _triton_failures(metrics: Iterable[ModelMetrics]) -> Metric:
    name = "nv_inference_request_failure"
    family = Metric(name, "Requests that failed, by Triton's reasons.", "unknown")
    for one in metrics:
        seen = one.outcomes
        reasons = {
            "REJECTED": seen[REJECTED],
            "CANCELED": seen[CANCELLED],
            "BACKEND": seen[FAILED],
            "OTHER": seen[INVALID] + seen[DEADLINE],
        }
        for reason, count in reasons.items():
            labels = {**dict(zip(_LABELS, _key(one), strict=True)), "reason": reason}
            family.add_sample(name, labels, count)
    return family


def _us(*stages: str) -> Callable[[ModelMetrics], float]:
    places = [STAGES.index(stage) for stage in stages]
    return lambda one: sum(one.stages[place].total for place in places) * _US


_ALIASES: tuple[tuple[str, str, Callable[[ModelMetrics], float]], ...] = (
    ("nv_inference_request_success", "Answered requests.", lambda one: one.successes),
    ("nv_inference_count", "Rows of answered requests.", lambda one: one.rows),
    ("nv_inference_exec_count", "Runs of the graph.", lambda one: one.executions),
    ("nv_inference_request_duration_us", "Microseconds in all.", lambda one: one.requests.total * _US),
    ("nv_inference_queue_duration_us", "Microseconds in the queue.", _us("queue")),
    ("nv_inference_compute_input_duration_us", "Microseconds before it.", _us("decode", "preprocess")),
    ("nv_inference_compute_infer_duration_us", "Microseconds of runs.", _us("run")),
    ("nv_inference_compute_output_duration_us", "Microseconds after.", _us("postprocess", "encode")),
)


def _key(one: ModelMetrics) -> tuple[str, str]:
    return one.name, str(one.version)


def _buckets(seen: Distribution, bounds: Sequence[float]) -> list[tuple[str, float]]:
    below, buckets = 0, []
    for bound, count in zip((*map(_number, bounds), "+Inf"), seen.counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    return buckets


def _number(bound: float) -> str:
    return repr(float(bound))
