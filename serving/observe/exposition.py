"""The metrics as Prometheus reads them: Baton's own names, and Triton's as an alias set.

Labels are `model` and `version` of registered models, and words from fixed lists; nothing that a client
sends becomes a label.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from serving.engine.context import STAGES
from serving.engine.metrics import (
    CONFIDENCE,
    MILLIONTHS,
    OUTCOMES,
    REASONS,
    ROWS,
    SECONDS,
    STAGE_SECONDS,
    SUCCESS,
    Distribution,
    ModelMetrics,
)
from serving.engine.served_model import IndexEntry, ModelState, ServedModel

MAX_LABELS = 64
"""Labels of a model that have a series of their own; a model of a thousand classes must not fill Prometheus."""

OTHER = "other"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""The Content-Type that every scraper reads."""
_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)")
_LABELS = ("model", "version")
_US = 1e-3  # microseconds in a nanosecond
_S = 1e-9


class Shown(Protocol):
    """The registry, as far as it is shown."""

    def served(self) -> list[ServedModel]:
        """Every version that answers."""
        ...

    def index(self) -> list[IndexEntry]:
        """Every version known."""
        ...

    def refused(self) -> list[tuple[str, int | str]]:
        """Every version that was refused."""
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
        yield _refused(self._registry)
        yield _loaded(served)
        yield _quality(served)
        yield _outcomes(metrics)
        yield _rejections(metrics)
        yield _requests(metrics)
        yield _stages(metrics)
        yield _batches(metrics)
        yield _queued("baton_queue_rows", "Rows that wait for a run.", served)
        yield _read(
            "baton_queue_age_seconds",
            "Seconds that the oldest row in the queue has waited.",
            served,
            lambda model: model.batcher.oldest_age_s,
        )
        yield _read(
            "baton_run_age_seconds",
            "Seconds that the longest run under way on a thread has taken.",
            served,
            lambda model: model.batcher.run_age_s,
        )
        yield _read(
            "baton_pending_rows",
            "Rows of predictions that were admitted and are not yet answered.",
            served,
            lambda model: model.batcher.admission.pending_rows,
        )
        yield _read(
            "baton_low_priority_pending_rows",
            "The same of requests of low priority, which have a queue of their own.",
            served,
            lambda model: model.batcher.admission.low_rows,
        )
        yield _read(
            "baton_explanations_in_flight",
            "Requests to :explain under way.",
            served,
            lambda model: model.batcher.admission.explanations,
        )
        yield _read(
            "baton_pending_rows_limit",
            "Rows admitted at most; over it requests are turned away.",
            served,
            lambda model: model.batcher.plan.max_pending_rows,
        )
        yield _in_flight(metrics)
        yield _explanations(metrics)
        yield from _predictions(served)
        yield from _readings(served)
        yield from _drift(served)
        yield from _triton(metrics)
        yield _queued("nv_inference_pending_request_count", "Triton's name for what waits.", served)


def metrics_registry(registry: Shown, server: Collector) -> CollectorRegistry:
    """A registry of this server's own, so that two servers in one process do not meet."""
    made = CollectorRegistry(auto_describe=False)
    made.register(server)
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    made.register(ModelCollector(registry))
    return made


Encode = Callable[[Collector], bytes]


def choose_format(accept: str) -> tuple[Encode, str]:
    """How a scrape is written, and its Content-Type, by the scraper's `Accept`; text 0.0.4 whatever else it says.

    The client library's own choice raises for a version in quotes, which HTTP allows, and repeats the one asked for.
    """
    formats = [(_preference(one), one) for one in accept.lower().replace('"', "").split(",")]
    for quality, one in sorted(formats, key=lambda ranked: -ranked[0]):
        media_type, *parameters = (part.strip() for part in one.split(";"))
        if quality > 0 and media_type == "text/plain":
            break
        if quality > 0 and media_type == "application/openmetrics-text" and _is_current(parameters):
            return openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, TEXT


def _preference(accepted: str) -> float:
    found = _QUALITY.search(accepted)
    return float(found[1]) if found else 1.0


def _is_current(parameters: Iterable[str]) -> bool:
    """Whether OpenMetrics 1.0 is asked for: Prometheus asks for 0.0.1 too."""
    versions = [value for name, _, value in (part.partition("=") for part in parameters) if name == "version"]
    return not versions or versions[0] == "1.0.0"


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


def _refused(registry: Shown) -> Metric:
    family = GaugeMetricFamily(
        "baton_model_refused", "1 for a version that was tried and takes no traffic.", labels=_LABELS
    )
    refused = set(registry.refused())
    for entry in registry.index():
        key = entry.name, entry.version
        family.add_metric((entry.name, str(entry.version)), key in refused)
    return family


def _loaded(served: Iterable[ServedModel]) -> Metric:
    family = GaugeMetricFamily(
        "baton_model_loaded_timestamp_seconds", "Unix time since which a version answers.", labels=_LABELS
    )
    for model in served:
        family.add_metric(_key(model.metrics), model.loaded_at)
    return family


def _quality(served: Iterable[ServedModel]) -> Metric:
    """The quality that training measured, as the manifest has it, beside the figures of serving."""
    family = GaugeMetricFamily(
        "baton_model_quality",
        "A metric on the test split, from the manifest.",
        labels=(*_LABELS, "precision", "metric"),
    )
    for model in served:
        for precision, graph in model.manifest.graphs.items():
            scores = graph.evaluation.metrics if graph.evaluation else {}
            for metric, score in scores.items():
                family.add_metric((*_key(model.metrics), precision, metric), score)
    return family


def _predictions(served: Sequence[ServedModel]) -> Iterator[Metric]:
    """Of tasks that answer with a label. The labels are the bundle's, of which so many have their own series."""
    labels = (*_LABELS, "label")
    counts = CounterMetricFamily("baton_predictions", "Answers by label.", labels=labels)
    sums = CounterMetricFamily(
        "baton_predicted_probability", "Sum of the probabilities of the answers, by label.", labels=labels
    )
    confidence = HistogramMetricFamily(
        "baton_confidence", "Probability of the label that was answered.", labels=_LABELS
    )
    outliers = CounterMetricFamily(
        "baton_outliers", "Answers to inputs unlike those of training.", labels=_LABELS
    )
    for model in served:
        one = model.metrics
        known = _label_names(model)
        if not known:
            continue
        confidence.add_metric(
            _key(one), _buckets(one.confidence, CONFIDENCE), one.confidence.total / MILLIONTHS
        )
        outliers.add_metric(_key(one), one.outliers)
        for label, (count, millionths) in _fold(one, known).items():
            counts.add_metric((*_key(one), label), count)
            sums.add_metric((*_key(one), label), millionths / MILLIONTHS)
    yield from (counts, sums, confidence, outliers)


def _readings(served: Sequence[ServedModel]) -> Iterator[Metric]:
    """Of tasks that read words or items: tokens that meant nothing to the model, which are the first sign of drift."""
    tokens = CounterMetricFamily("baton_input_tokens", "Words or items read.", labels=_LABELS)
    unknown = CounterMetricFamily(
        "baton_input_unknown_tokens", "Words or items that the model does not know.", labels=_LABELS
    )
    truncated = CounterMetricFamily(
        "baton_input_truncated", "Texts that were longer than the model reads.", labels=_LABELS
    )
    for model in served:
        if model.manifest.task in ("text", "recommendation"):
            one = model.metrics
            tokens.add_metric(_key(one), one.tokens)
            unknown.add_metric(_key(one), one.unknown)
            truncated.add_metric(_key(one), one.truncated)
    yield from (tokens, unknown, truncated)


def _drift(served: Sequence[ServedModel]) -> Iterator[Metric]:
    """Of bundles with a reference. The last comparison is there from the first full window on."""
    rows = CounterMetricFamily("baton_drift_rows", "Rows looked at for drift.", labels=_LABELS)
    windows = CounterMetricFamily(
        "baton_drift_windows", "Windows of rows compared with the reference.", labels=_LABELS
    )
    alarms = CounterMetricFamily("baton_drift_alarms", "Windows with a feature in alarm.", labels=_LABELS)
    labels = (*_LABELS, "feature")
    psi = GaugeMetricFamily(
        "baton_drift_psi", "Population stability index of the last window against training.", labels=labels
    )
    alarm = GaugeMetricFamily(
        "baton_drift_alarm", "1 for a feature whose last window has drifted.", labels=labels
    )
    for model in served:
        if (drift := model.drift) is None:
            continue
        key = _key(model.metrics)
        rows.add_metric(key, drift.rows)
        windows.add_metric(key, drift.windows)
        alarms.add_metric(key, drift.alarms)
        for feature, verdict in drift.verdicts.items():
            psi.add_metric((*key, feature), verdict.psi)
            alarm.add_metric((*key, feature), verdict.alarm)
    yield from (rows, windows, alarms, psi, alarm)


def _fold(one: ModelMetrics, known: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Count and millionths by label, zeros too; labels beyond the first `MAX_LABELS` together."""
    shown = dict.fromkeys(known[:MAX_LABELS], (0, 0))
    for label, tally in one.labels.items():
        name = label if label in shown else OTHER
        count, millionths = shown.get(name, (0, 0))
        shown[name] = count + tally.count, millionths + tally.total
    return shown


def _label_names(model: ServedModel) -> Sequence[str]:
    classification = getattr(model.predictor.processor, "classification", None)
    names: Sequence[str] = getattr(classification, "labels", ())
    return names


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
        for reason in REASONS:  # at 0 too: a rate does not see the value that a counter begins with
            family.add_metric((*_key(one), reason), one.rejections[reason])
    return family


def _requests(metrics: Iterable[ModelMetrics]) -> Metric:
    family = HistogramMetricFamily(
        "baton_request_seconds", "Seconds from a request's body to its answer.", labels=_LABELS
    )
    for one in metrics:
        buckets = [
            _with_exemplar(bucket, one.exemplars.get(place))
            for place, bucket in enumerate(_buckets(one.requests, SECONDS))
        ]
        family.add_metric(_key(one), buckets, one.requests.total * _S)
    return family


def _with_exemplar(
    bucket: tuple[str, float], observed: tuple[str, float, float] | None
) -> tuple[str, float] | tuple[str, float, Exemplar]:
    if observed is None:
        return bucket
    trace_id, seconds, at = observed
    return (*bucket, Exemplar({"trace_id": trace_id}, seconds, at))


def _stages(metrics: Iterable[ModelMetrics]) -> Metric:
    family = HistogramMetricFamily(
        "baton_stage_seconds", "Seconds that answered requests spent in a stage.", labels=(*_LABELS, "stage")
    )
    for one in metrics:
        for stage, observed in zip(STAGES, one.stages, strict=True):
            family.add_metric((*_key(one), stage), _buckets(observed, STAGE_SECONDS), observed.total * _S)
    return family


def _batches(metrics: Iterable[ModelMetrics]) -> Metric:
    family = HistogramMetricFamily("baton_batch_rows", "Rows of each run.", labels=_LABELS)
    for one in metrics:
        family.add_metric(_key(one), _buckets(one.batch_rows, ROWS), one.batch_rows.total)
    return family


def _queued(name: str, documentation: str, served: Iterable[ServedModel]) -> Metric:
    return _read(name, documentation, served, lambda model: model.batcher.queued_rows)


def _read(
    name: str, documentation: str, served: Iterable[ServedModel], read: Callable[[ServedModel], float]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=_LABELS)
    for model in served:
        family.add_metric(_key(model.metrics), read(model))
    return family


def _in_flight(metrics: Iterable[ModelMetrics]) -> Metric:
    family = GaugeMetricFamily("baton_in_flight", "Requests under way.", labels=_LABELS)
    for one in metrics:
        family.add_metric(_key(one), one.in_flight)
    return family


def _explanations(metrics: Iterable[ModelMetrics]) -> Metric:
    family = CounterMetricFamily(
        "baton_explanations", "Instances whose answer was explained.", labels=_LABELS
    )
    for one in metrics:
        family.add_metric(_key(one), one.explanations)
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
        for reason, count in one.triton_failures().items():
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


def _buckets(observed: Distribution, bounds: Sequence[float]) -> list[tuple[str, float]]:
    below, buckets = 0, []
    for bound, count in zip((*map(_number, bounds), "+Inf"), observed.counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    return buckets


def _number(bound: float) -> str:
    return repr(float(bound))
