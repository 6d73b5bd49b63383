"""Metrics pass through the messages and come out as `prometheus_client` shows them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import generate_latest

from serving.workers.families import Families, family_of


def test_metrics_and_exemplars_come_out_as_they_went_in() -> None:
    registry = CollectorRegistry()
    Counter("answers", "Answers.", ["model"], registry=registry).labels("m").inc(3)
    Gauge("level", "A level.", registry=registry).set(-1.5)
    Histogram("took", "Seconds.", registry=registry).observe(0.2, {"trace_id": "abc"})
    passed = Families([family_of(metric) for metric in registry.collect()])
    expected = generate_latest(registry)  # type: ignore[no-untyped-call]
    assert b'trace_id="abc"' in expected
    assert generate_latest(passed) == expected  # type: ignore[no-untyped-call]
