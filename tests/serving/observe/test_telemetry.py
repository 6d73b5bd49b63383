"""Tracing is off unless the standard variables ask for it; a line of the access log has no payload in it."""

import sys
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

from serving.engine.context import StageTimes
from serving.http.matching import Route
from serving.observe.telemetry import Sampled, Tracing, TracingUnavailable, log_access, observer
from tests.serving.servers import ThreadedServer

ROUTE = Route("infer", "sum", None, "/v2/models/sum/infer")
TIMES = StageTimes(decode=1000, queue=2000, run=3000, encode=4000, batch_rows=2)
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["nothing", "empty", "disabled", "no-traces"],
)
def test_tracing_is_off_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    assert Tracing.from_environment(environment) is None


def test_tracing_that_is_asked_for_and_not_installed_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailable, match="tracing"):
        Tracing.from_environment(ENDPOINT)


def test_nothing_asked_for_is_no_observer(server: ThreadedServer) -> None:
    assert observer(server.app.registry, None, access_log=False) is None


def test_stages_are_laid_end_to_end_and_those_that_took_no_time_left_out() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = Tracing(provider)
    sampled = tracing.observe(ROUTE, {}, TIMES, 500)
    assert sampled is not None
    assert sampled.seconds == pytest.approx(10e-6)
    *stages, root = kept.get_finished_spans()
    assert [span.name for span in stages] == ["decode", "queue", "run", "encode"]
    assert root.name == "infer sum"
    assert not root.status.is_ok
    edges = [(span.start_time, span.end_time) for span in stages]
    assert edges[0][0] == root.start_time
    assert edges[-1][1] == root.end_time
    assert all(one[1] == other[0] for one, other in pairwise(edges))


def test_a_trace_that_is_not_sampled_makes_nothing() -> None:
    tracing = Tracing(TracerProvider(sampler=ALWAYS_OFF))
    assert tracing.observe(ROUTE, {}, TIMES, 200) is None


def test_a_sampler_tells_one_request_in_how_many_is_traced() -> None:
    assert Tracing(TracerProvider()).one_in() == 1
    assert Tracing(TracerProvider(sampler=TraceIdRatioBased(0.05))).one_in() == pytest.approx(20)


def test_the_access_log_has_the_id_and_the_stages_and_no_other_header(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "baton.access")
    headers = {b"x-request-id": b"r-1", b"authorization": b"my secret"}
    log_access(ROUTE, headers, TIMES, 200, Sampled("a" * 32, 0.01))
    (record,) = caplog.records
    assert "secret" not in record.message
    assert "path=/v2/models/sum/infer status=200 request_id=r-1" in record.message
    assert record.__dict__["facts"]["queue_ms"] == 0.002
    assert "preprocess_ms" not in record.__dict__["facts"], "it took no time"


def test_a_client_cannot_put_a_field_into_a_line_of_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "baton.access")
    route = Route("infer", "x", None, '/v2/models/x" status=200\n/infer')
    log_access(route, {b"x-request-id": b"1 status=200"}, TIMES, 404)
    (record,) = caplog.records
    assert record.message.startswith(
        r'path="/v2/models/x\" status=200\n/infer" status=404 request_id="1 status=200" '
    )
    assert record.__dict__["facts"]["request_id"] == "1 status=200"


def test_a_trace_of_a_model_that_was_unloaded_meanwhile_is_kept_all_the_same(
    server: ThreadedServer,
) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    observe = observer(server.app.registry, Tracing(provider), access_log=False)
    assert observe is not None
    observe(Route("infer", "nobody", None, "/v2/models/nobody/infer"), {}, TIMES, 404)
    assert kept.get_finished_spans()[-1].name == "infer nobody"
